#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
fn order_created() {}

fn main() {}
