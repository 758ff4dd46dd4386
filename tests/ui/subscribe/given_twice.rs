#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created")]
#[subscribe("order_cancelled")]
async fn audit(event: AnyEvent) {}

fn main() {}
