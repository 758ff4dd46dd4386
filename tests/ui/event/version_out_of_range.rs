#![allow(unused)]

use rabbitry::event;

#[event("order_created", version = 0)]
struct OrderCreated {}

#[event("order_cancelled", version = -1)]
struct OrderCancelled {}

#[event("order_paid", version = "2")]
struct OrderPaid {}

fn main() {}
