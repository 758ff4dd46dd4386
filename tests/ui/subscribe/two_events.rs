#![allow(unused)]

use rabbitry::{AnyEvent, event, subscribe};

/// An event.
#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

#[subscribe("order_created")]
async fn audit(event: OrderCreated, again: AnyEvent) {}

fn main() {}
