#![allow(unused)]

use rabbitry::event;

#[event("order_created", version = 2, version = 3)]
struct OrderCreated {}

fn main() {}
