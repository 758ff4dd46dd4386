#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", concurency = 4)]
async fn audit(event: AnyEvent) {}

fn main() {}
