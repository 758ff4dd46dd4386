#![allow(unused)]

use rabbitry::event;

#[event(order_created)]
struct OrderCreated {}

const NAME: &str = "order_cancelled";

#[event(self::NAME)]
struct OrderCancelled {}

fn main() {}
