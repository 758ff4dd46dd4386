#![allow(unused)]

use rabbitry::{event, subscribe};

/// An event.
#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

#[subscribe("order.*")]
async fn audit(event: OrderCreated) {}

fn main() {}
