#![allow(unused)]

use rabbitry::event;

struct Money {
    cents: i64,
}

#[event("order_created")]
struct OrderCreated {
    price: Money,
}

fn main() {}
