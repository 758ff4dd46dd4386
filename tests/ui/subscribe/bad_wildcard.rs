#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order.*created")]
async fn audit(event: AnyEvent) {}

#[subscribe("#.order.#")]
async fn count(event: AnyEvent) {}

fn main() {}
