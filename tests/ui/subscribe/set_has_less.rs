#![allow(unused)]

use rabbitry::{EventSet, event, subscribe};

/// An event.
#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

#[event("order_cancelled")]
struct OrderCancelled {}

#[derive(EventSet)]
enum OrderEvent {
    Created(OrderCreated),
    Cancelled(OrderCancelled),
}

#[subscribe("order_created", "order_cancelled", "order_paid")]
async fn audit(event: OrderEvent) {}

fn main() {}
