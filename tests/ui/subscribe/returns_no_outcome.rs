#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created")]
async fn audit(event: AnyEvent) -> usize {
    0
}

fn main() {}
