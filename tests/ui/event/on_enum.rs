#![allow(unused)]

use rabbitry::{event, subscribe};

#[event("order_event")]
enum OrderEvent {
    Created(i64),
}

// No second error, though the type was to be an event.
#[subscribe("order_event")]
async fn audit(event: OrderEvent) {}

fn main() {}
