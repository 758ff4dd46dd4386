//! The shop as a whole: what to try once it runs, and what its services agree on, for `schemas/`.

use std::net::SocketAddr;

use contracts::{OrderCreated, StockRejected, StockReserved, StockUpdated};
use rabbitry::EventType;

/// What to try, as commands to paste.
#[must_use]
pub fn welcome(orders: SocketAddr, inventory: SocketAddr) -> String {
    let post = "curl -H 'content-type: application/json'";
    format!(
        "\
The shop is open. Try:

  {post} http://{inventory}/products/ -d '{{\"id\": 7, \"name\": \"carrot\", \"stock\": 10}}'
  {post} http://{orders}/orders/ -d '{{\"id\": 1, \"customer_id\": 3, \"total\": 9.5, \"items\": [{{\"product_id\": 7, \"quantity\": 4}}]}}'
  {post} http://{orders}/orders/ -d '{{\"id\": 2, \"customer_id\": 3, \"total\": 99, \"items\": [{{\"product_id\": 7, \"quantity\": 40}}]}}'
  curl http://{orders}/orders/1
  curl http://{orders}/orders/2
  curl http://{inventory}/products/7
"
    )
}

/// The files of `schemas/`: name and content.
///
/// # Errors
/// A service's plan breaks a rule, or something cannot be written as JSON.
pub fn schemas() -> anyhow::Result<Vec<(String, String)>> {
    let events = [
        EventType::of::<OrderCreated>(),
        EventType::of::<StockRejected>(),
        EventType::of::<StockReserved>(),
        EventType::of::<StockUpdated>(),
    ];
    let mut files = Vec::new();
    for event in events {
        let schema = serde_json::to_string_pretty(&event.schema())? + "\n";
        files.push((format!("{}.v{}.json", event.name, event.version), schema));
    }
    for (name, service) in [("inventory", inventory::service()), ("orders", orders::service())] {
        let plan = serde_json::to_string_pretty(&service.topology()?)? + "\n";
        files.push((format!("{name}.topology.json"), plan));
    }
    Ok(files)
}
