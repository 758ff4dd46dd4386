#![allow(unused)]

use rabbitry::EventSet;

#[derive(EventSet)]
struct OrderEvent {
    order_id: i64,
}

fn main() {}
