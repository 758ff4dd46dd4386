#![allow(unused)]

use rabbitry::{AnyEvent, EventSet, State, subscribe};

#[subscribe("order_created")]
async fn reserve<T>(event: AnyEvent, state: State<T>) {}

#[subscribe("order_created")]
async fn audit(event: impl EventSet) {}

fn main() {}
