#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", "order_created")]
async fn audit(event: AnyEvent) {}

fn main() {}
