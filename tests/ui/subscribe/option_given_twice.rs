#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", concurrency = 4, concurrency = 8)]
async fn audit(event: AnyEvent) {}

fn main() {}
