#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", broadcast, queue = "audit", queue_type = "classic")]
async fn audit(event: AnyEvent) {}

fn main() {}
