#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", concurrency = 0, prefetch = 70000, timeout = "0s")]
async fn audit(event: AnyEvent) {}

fn main() {}
