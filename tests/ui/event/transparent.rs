#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
#[serde(transparent)]
struct OrderCreated {
    order_id: i64,
}

fn main() {}
