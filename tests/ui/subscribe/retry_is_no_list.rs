#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created", retry = 3)]
async fn audit(event: AnyEvent) {}

fn main() {}
