#![allow(unused)]

use rabbitry::event;

#[event("Order Created")]
struct OrderCreated {}

#[event("")]
struct OrderCancelled {}

#[event("order..paid")]
struct OrderPaid {}

#[event("amq.order")]
struct OrderSent {}

#[event("order.*")]
struct OrderChanged {}

fn main() {}
