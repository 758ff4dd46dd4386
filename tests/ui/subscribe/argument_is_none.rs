#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

struct Stock;

#[subscribe("order_created")]
async fn reserve_stock(event: AnyEvent, stock: Stock) {}

fn main() {}
