//! The demo: a few orders, and what comes of them.

mod customer;
mod folder;
mod numbers;
mod runs;

use rabbitry::{Broker, observe};
use tokio::sync::watch;

use self::{customer::Customer, folder::Folder, numbers::Numbers, runs::Runs};
use crate::{
    Shop, dead_letters,
    outcome::Outcome,
    show::{self, Line},
};

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
