#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
struct OrderCreated(i64);

fn main() {}
