#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
#[derive(Clone, Debug)]
struct OrderCreated {
    #[serde(default)]
    order_id: i64,
}

fn main() {}
