#![allow(unused)]

use rabbitry::{EventSet, event};

/// An event.
#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

#[derive(EventSet)]
enum OrderEvent {
    Created(OrderCreated),
    CreatedAgain(OrderCreated),
}

fn main() {}
