#![allow(unused)]

use rabbitry::event;

#[event("Order", version = 0, exchnage = "legacy")]
#[derive(Debug)]
struct OrderCreated {
    #[key]
    order_id: i64,
    #[key]
    customer: &'static str,
}

fn main() {}
