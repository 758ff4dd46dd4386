#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
struct OrderCreated {
    #[key]
    order_id: i64,
    #[key]
    customer_id: i64,
}

fn main() {}
