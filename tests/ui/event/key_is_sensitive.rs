#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
struct OrderCreated {
    #[key]
    #[sensitive]
    card: String,
}

fn main() {}
