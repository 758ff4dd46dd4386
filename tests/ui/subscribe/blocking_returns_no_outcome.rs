#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", blocking)]
fn audit(event: AnyEvent) -> usize {
    0
}

fn main() {}
