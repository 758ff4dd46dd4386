//! Who orders, and looks what comes of it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{
    numbers::Numbers,
    runs::{Run, Runs},
};
use crate::{http, outcome::Rows, show};

/// How long all of it may take, with a broker that is in no hurry.
const PATIENCE: Duration = Duration::from_secs(60);

/// Number, name, and how many there are.
const PRODUCTS: [(i64, &str, u32); 2] = [(7, "carrot", 10), (8, "leek", 5)];

/// An order: its number, how many of which product, and what is to be seen.
type Order = (i64, &'static [(i64, u32)], &'static str);

/// The last digits of their numbers tell the carrier what to do; see [`Carrier`](crate::warehouse::Carrier).
const ORDERS: [Order; 4] = [
    (1, &[(7, 4)], "4 of 10 carrots: confirmed, and sent"),
    (2, &[(7, 40)], "40 carrots: rejected, there are not so many"),
    (8, &[(7, 1), (8, 2)], "a carrot and 2 leeks: confirmed, and sent once the carrier is no longer busy"),
    (9, &[(8, 1)], "a leek to where no carrier goes: confirmed, but its parcel ends in the dead letters"),
];

/// The customer of a run.
pub(super) struct Customer {
    /// Where orders listens.
    pub(super) orders: String,
    /// Where inventory listens.
    pub(super) inventory: String,
    /// The numbers of its orders.
    pub(super) numbers: Numbers,
}

impl Customer {
    /// Places the orders, waits until nothing more follows from them, and returns what is in stock and what became of them.
    pub(super) async fn play(&self, runs: &mut Runs) -> anyhow::Result<(Rows, Rows)> {
        for (id, name, stock) in PRODUCTS {
            let product = json!({ "id": self.numbers.id(id), "name": name, "stock": stock });
            http::post(format!("{}/products/", self.inventory), product).await?;
        }
        let all = async {
            for order in ORDERS {
                self.place(order).await?;
                // One after the other, so that it is always the same ones for which there is enough.
                for handler in ["settle_order", "record_order", "reserve_stock"] {
                    runs.until(handler, &self.key(order.0), 1).await;
                }
            }
            self.rest(runs).await
        };
        match tokio::time::timeout(PATIENCE, all).await {
            Ok(all) => all?,
            Err(_) => show::say(&format!("Not all of it has happened within {} s.", PATIENCE.as_secs())),
        }
        Ok((self.stock().await?, self.became(runs).await?))
    }

    async fn place(&self, (id, items, story): Order) -> anyhow::Result<()> {
        show::say(&format!("\nOrder {id}: {story}"));
        let item = |&(id, quantity): &(i64, u32)| json!({ "product_id": self.numbers.id(id), "quantity": quantity });
        let items: Vec<Value> = items.iter().map(item).collect();
        let order = json!({ "id": self.numbers.id(id), "customer_id": 3, "total": 9.5, "items": items });
        http::post(format!("{}/orders/", self.orders), order).await
    }

    /// Waits for whatever follows from an order beside its answer.
    async fn rest(&self, runs: &mut Runs) -> anyhow::Result<()> {
        let mut updates = BTreeMap::new();
        for (id, items, _) in ORDERS {
            if self.order(id).await?["status"] == "confirmed" {
                runs.until("send_parcel", &self.key(id), 1).await;
                items.iter().for_each(|(product, _)| *updates.entry(*product).or_default() += 1);
            }
        }
        for (product, times) in updates {
            runs.until("reorder", &self.key(product), times).await;
        }
        Ok(())
    }

    /// What is left of each product.
    async fn stock(&self) -> anyhow::Result<Rows> {
        let mut rows = Vec::new();
        for (id, name, _) in PRODUCTS {
            let product = http::get(format!("{}/products/{}", self.inventory, self.numbers.id(id))).await?;
            rows.push(vec![id.to_string(), name.to_owned(), product["stock"].to_string()]);
        }
        Ok(rows)
    }

    /// What became of each order.
    async fn became(&self, runs: &Runs) -> anyhow::Result<Rows> {
        let mut rows = Vec::new();
        for (id, items, _) in ORDERS {
            let order = self.order(id).await?;
            let text = |name: &str| self.numbers.shorten(order[name].as_str().unwrap_or_default());
            let parcel = match runs.of("send_parcel", &self.key(id)).last() {
                None => "none".to_owned(),
                Some(Run { well: true, attempt, .. }) => format!("sent, attempt {attempt}"),
                Some(_) => "dead letter".to_owned(),
            };
            rows.push(vec![id.to_string(), in_words(items), text("status"), parcel, text("reason")]);
        }
        Ok(rows)
    }

    async fn order(&self, id: i64) -> anyhow::Result<Value> {
        http::get(format!("{}/orders/{}", self.orders, self.numbers.id(id))).await
    }

    fn key(&self, id: i64) -> String {
        self.numbers.id(id).to_string()
    }
}

fn in_words(items: &[(i64, u32)]) -> String {
    let name = |id| PRODUCTS.iter().find(|product| product.0 == id).map_or("?", |product| product.1);
    items.iter().map(|&(id, quantity)| format!("{quantity} {}", name(id))).collect::<Vec<_>>().join(", ")
}
