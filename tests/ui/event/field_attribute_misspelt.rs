#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
struct OrderCreated {
    #[keys]
    order_id: i64,
}

fn main() {}
