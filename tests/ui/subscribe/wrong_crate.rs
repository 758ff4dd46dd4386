#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", crate = carrot::rabbitry)]
async fn audit(event: AnyEvent) {}

fn main() {}
