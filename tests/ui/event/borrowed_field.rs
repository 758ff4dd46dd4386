#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
struct OrderCreated<'a> {
    customer: &'a str,
}

fn main() {}
