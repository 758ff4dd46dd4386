#![allow(unused)]

use rabbitry::subscribe;

#[subscribe("order_created")]
struct ReserveStock;

fn main() {}
