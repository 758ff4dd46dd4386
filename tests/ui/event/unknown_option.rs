#![allow(unused)]

use rabbitry::event;

#[event("order_created", verison = 2)]
struct OrderCreated {}

fn main() {}
