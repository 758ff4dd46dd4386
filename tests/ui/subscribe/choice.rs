#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", queue_type = "qorum", undecodable = drop, format = xml)]
async fn audit(event: AnyEvent) {}

fn main() {}
