#![allow(unused)]

use rabbitry::{EventSet, event};

/// An event.
#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

#[event("order_created")]
struct OrderMade {}

#[derive(EventSet)]
enum OrderEvent {
    Created(OrderCreated),
    Made(OrderMade),
}

fn main() {}
