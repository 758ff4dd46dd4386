//! The products, and what was taken for which order, in SQLite.

use std::{collections::BTreeMap, time::Duration};

use contracts::{Item, Product, StockUpdated};
use serde::{Deserialize, Serialize};
use sqlx::{
    SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS products (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        -- How many there were when it was added.
        first_stock INTEGER NOT NULL,
        stock INTEGER NOT NULL CHECK (stock >= 0)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS taken (
        order_id INTEGER PRIMARY KEY,
        -- A `Taken`, as JSON.
        outcome TEXT NOT NULL
    ) STRICT";

/// The stock.
#[derive(Clone, Debug)]
pub struct Stock {
    pool: SqlitePool,
}

/// What was taken for an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Taken {
    /// All of it; the products that there are fewer of now.
    All(Vec<StockUpdated>),
    /// Nothing, for this reason.
    Nothing(String),
}

impl Stock {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be opened, or is no database.
    pub async fn open(file: &str) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(20));
        // SQLite has one writer at a time: one connection makes them wait in line instead of for a lock.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self { pool })
    }

    /// Adds a product. Returns whether it is the one that was added first: `false` if there was another with its number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add(&self, product: &Product) -> Result<bool, sqlx::Error> {
        // The update changes nothing; without it no row would be returned.
        let insert = "INSERT INTO products (id, name, first_stock, stock) VALUES (?1, ?2, ?3, ?3)
            ON CONFLICT (id) DO UPDATE SET id = id RETURNING name = ?2 AND first_stock = ?3";
        sqlx::query_scalar(insert).bind(product.id).bind(&product.name).bind(product.stock).fetch_one(&self.pool).await
    }

    /// A product as it is now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn product(&self, id: i64) -> Result<Option<Product>, sqlx::Error> {
        find(&mut *self.pool.acquire().await?, id).await
    }

    /// Takes all items of an order, or none. Done for an order before, it takes nothing and returns the same again.
    ///
    /// # Errors
    /// The database failed, and nothing was taken.
    pub async fn take(&self, order_id: i64, items: &[Item]) -> Result<Taken, sqlx::Error> {
        // With the lock from the start: a transaction that reads first and then writes can be refused it.
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let known = sqlx::query_scalar("SELECT outcome FROM taken WHERE order_id = ?").bind(order_id);
        if let Some(outcome) = known.fetch_optional(&mut *transaction).await? {
            let outcome: String = outcome;
            return serde_json::from_str(&outcome).map_err(|error| sqlx::Error::Decode(error.into()));
        }
        let taken = match plan(&mut transaction, items).await? {
            Ok(updates) => Taken::All(updates),
            Err(reason) => Taken::Nothing(reason),
        };
        if let Taken::All(updates) = &taken {
            for update in updates {
                let set = sqlx::query("UPDATE products SET stock = ? WHERE id = ?");
                set.bind(update.new_stock).bind(update.product_id).execute(&mut *transaction).await?;
            }
        }
        let outcome = serde_json::to_string(&taken).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let mark = sqlx::query("INSERT INTO taken (order_id, outcome) VALUES (?, ?)");
        mark.bind(order_id).bind(outcome).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(taken)
    }
}

/// What there would be after taking the items, or what is missing.
async fn plan(stock: &mut SqliteConnection, items: &[Item]) -> Result<Result<Vec<StockUpdated>, String>, sqlx::Error> {
    // A product may be there in several lines.
    let mut wanted = BTreeMap::new();
    for item in items {
        *wanted.entry(item.product_id).or_insert(0_u64) += u64::from(item.quantity);
    }
    let mut updates = Vec::new();
    for (product_id, quantity) in wanted {
        let Some(mut product) = find(stock, product_id).await? else {
            return Ok(Err(format!("there is no product {product_id}")));
        };
        let left = u64::from(product.stock).checked_sub(quantity).and_then(|left| u32::try_from(left).ok());
        let Some(left) = left else {
            return Ok(Err(format!("product {product_id}: {quantity} wanted, {} in stock", product.stock)));
        };
        product.stock = left;
        updates.push(StockUpdated { product_id, product, new_stock: left });
    }
    Ok(Ok(updates))
}

async fn find(stock: &mut SqliteConnection, id: i64) -> Result<Option<Product>, sqlx::Error> {
    let select = sqlx::query_as("SELECT name, stock FROM products WHERE id = ?").bind(id);
    let row: Option<(String, u32)> = select.fetch_optional(stock).await?;
    Ok(row.map(|(name, stock)| Product { id, name, stock }))
}
