#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", retry(attempts = 0, factor = 0.5, first = "5x", jitter = 2, tries = 3))]
async fn audit(event: AnyEvent) {}

#[subscribe("order_created", retry(first = "10s", max = "5s"))]
async fn count(event: AnyEvent) {}

fn main() {}
