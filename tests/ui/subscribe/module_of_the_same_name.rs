#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

mod audit {}

#[subscribe("order_created")]
async fn audit(event: AnyEvent) {}

fn main() {}
