#![allow(unused)]

use rabbitry::{AnyEvent, event, subscribe};

/// An event.
#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

#[subscribe("order_created", broadcast)]
async fn audit(event: AnyEvent) -> Vec<OrderCreated> {
    Vec::new()
}

fn main() {}
