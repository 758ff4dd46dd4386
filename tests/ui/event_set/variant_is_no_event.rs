#![allow(unused)]

use rabbitry::{EventSet, event};

/// An event.
#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

struct OrderCancelled;

#[derive(EventSet)]
enum OrderEvent {
    Created(OrderCreated),
    Cancelled(OrderCancelled),
}

fn main() {}
