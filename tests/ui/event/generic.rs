#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
struct Created<T> {
    what: T,
}

fn main() {}
