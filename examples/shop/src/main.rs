//! Runs orders and inventory in one process, as one would for a small shop or on a laptop.

use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let broker = std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@localhost:5672/%2f".to_owned());
    let (orders, inventory) = tokio::try_join!(orders::Server::start(&broker), inventory::Server::start(&broker))?;
    println!("{}", shop::welcome(orders.address()?, inventory.address()?));
    tokio::try_join!(orders.serve(), inventory.serve())?;
    Ok(())
}
