#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
struct OrderCreated {
    #[key]
    price: f64,
}

fn main() {}
