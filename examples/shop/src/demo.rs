//! The demo: a few orders, and what comes of them.

mod folder;
mod numbers;
mod runs;

use std::{collections::BTreeMap, time::Duration};

use rabbitry::{Broker, observe};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::{
    folder::Folder,
    numbers::Numbers,
    runs::{Run, Runs},
};
use crate::{
    Shop, dead_letters, http,
    outcome::{Outcome, Rows},
    show::{self, Line},
};

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
    (9, &[(8, 1)], "a leek to where no carrier goes: confirmed, and then among the dead letters"),
];

/// Opens a shop of its own on the broker, places the orders over HTTP, and returns what came of them once nothing more will.
///
/// Whatever else is on the broker is left alone and not shown.
///
/// # Errors
/// The shop cannot be opened, is stopped by a signal, or refuses an order.
pub async fn run(broker: &Broker, colours: bool) -> anyhow::Result<Outcome> {
    let numbers = Numbers::new();
    let folder = Folder::new(&format!("rabbitry-shop-{}-{numbers}", std::process::id()))?;
    let (mut runs, teller) = Runs::new();
    let (of_ours, text) = (numbers.clone(), numbers.clone());
    let observer = move |run: &observe::Run<'_>| {
        if of_ours.are_in(run.key.unwrap_or_default()) {
            show::say(&Line::of(run).to_text(colours, |said| text.shorten(said)));
            teller.tell(run);
        }
    };
    let free_port = || "127.0.0.1:0".to_owned();
    let orders = orders::Settings { address: free_port(), file: folder.file("orders.db") };
    let inventory = inventory::Settings { address: free_port(), file: folder.file("inventory.db") };
    let shop = Shop::open(broker, observer, &orders, &inventory).await?;
    let (orders, inventory) = shop.addresses()?;
    let customer = Customer { orders: format!("http://{orders}"), inventory: format!("http://{inventory}"), numbers };
    show::say(&format!("The last digits of this run's numbers are shown; all begin with {}.", customer.numbers));

    let (stop, stopped) = watch::channel(());
    let mut serving = tokio::spawn(shop.serve_until(stopped));
    let played = tokio::select! {
        played = customer.play(&mut runs) => played,
        served = &mut serving => {
            served??;
            anyhow::bail!("the shop was stopped before the end of the demo");
        }
    };
    drop(stop);
    serving.await??;
    let (stock, orders) = played?;
    let mut letters = Vec::new();
    for (queue, wanted) in runs.dead() {
        for letter in dead_letters::look(broker, &queue, |key| customer.numbers.are_in(key), wanted).await? {
            let key = customer.numbers.shorten(&letter.key);
            let queue = format!("{queue}.dead");
            letters.push(vec![queue, letter.event, key, letter.attempts, letter.reason, letter.error]);
        }
    }
    Ok(Outcome { stock, orders, dead_letters: letters })
}

/// Who orders, and looks what comes of it.
struct Customer {
    orders: String,
    inventory: String,
    numbers: Numbers,
}

impl Customer {
    async fn play(&self, runs: &mut Runs) -> anyhow::Result<(Rows, Rows)> {
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
