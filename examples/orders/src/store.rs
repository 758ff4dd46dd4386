//! The orders and what became of them, in SQLite.

use std::time::Duration;

use contracts::{Order, StockAnswer};
use serde::Serialize;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY,
        -- The order as JSON; NULL while only inventory's answer is known, which may be here first.
        body TEXT,
        status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'confirmed', 'rejected')),
        reason TEXT
    ) STRICT";

/// The orders.
#[derive(Clone, Debug)]
pub struct Orders {
    pool: SqlitePool,
}

/// What became of an order.
#[derive(Debug, PartialEq, Serialize)]
pub struct Status {
    /// The order's number.
    pub order_id: i64,
    /// `pending`, `confirmed` or `rejected`.
    pub status: String,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Orders {
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
        sqlx::query(SCHEMA).execute(&pool).await?;
        Ok(Self { pool })
    }

    /// Keeps an order, pending unless its answer is here already. Returns whether it is the one that is kept: `false` if there
    /// is another with its number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn place(&self, order: &Order) -> Result<bool, sqlx::Error> {
        let body = serde_json::to_string(order).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let insert = "INSERT INTO orders (id, body) VALUES (?, ?)
            ON CONFLICT (id) DO UPDATE SET body = coalesce(body, excluded.body) RETURNING body";
        let kept: String = sqlx::query_scalar(insert).bind(order.id).bind(&body).fetch_one(&self.pool).await?;
        Ok(kept == body)
    }

    /// Keeps inventory's answer. The first one counts: they come again, and in any order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn settle(&self, answer: &StockAnswer) -> Result<(), sqlx::Error> {
        let (order_id, status, reason) = match answer {
            StockAnswer::Reserved(it) => (it.order_id, "confirmed", None),
            StockAnswer::Rejected(it) => (it.order_id, "rejected", Some(&it.reason)),
        };
        let upsert = "INSERT INTO orders (id, status, reason) VALUES (?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET status = excluded.status, reason = excluded.reason WHERE status = 'pending'";
        sqlx::query(upsert).bind(order_id).bind(status).bind(reason).execute(&self.pool).await?;
        Ok(())
    }

    /// What became of an order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn status(&self, order_id: i64) -> Result<Option<Status>, sqlx::Error> {
        let select = "SELECT status, reason FROM orders WHERE id = ?";
        let row: Option<(String, Option<String>)> =
            sqlx::query_as(select).bind(order_id).fetch_optional(&self.pool).await?;
        Ok(row.map(|(status, reason)| Status { order_id, status, reason }))
    }
}
