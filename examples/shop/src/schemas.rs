//! What the services agree on, for `schemas/`.

use contracts::{OrderCreated, StockRejected, StockReserved, StockUpdated};
use rabbitry::EventType;

use crate::warehouse;

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
    let services =
        [("inventory", inventory::service()), ("orders", orders::service()), ("warehouse", warehouse::service())];
    for (name, service) in services {
        let plan = serde_json::to_string_pretty(&service.topology()?)? + "\n";
        files.push((format!("{name}.topology.json"), plan));
    }
    Ok(files)
}
