#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
#[event("order_created")]
struct OrderCreated {}

fn main() {}
