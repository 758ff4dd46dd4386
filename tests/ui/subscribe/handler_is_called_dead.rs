#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created")]
async fn dead(event: AnyEvent) {}

fn main() {}
