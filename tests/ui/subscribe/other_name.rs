#![allow(unused)]

use rabbitry::{event, subscribe};

/// An event.
#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

#[subscribe("order_cancelled")]
async fn reserve_stock(event: OrderCreated) {}

fn main() {}
