#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
trait OrderCreated {}

fn main() {}
