#![allow(unused)]

use rabbitry::{AnyEvent, subscribe, subscriptions};

#[subscribe("order_created")]
async fn audit(event: AnyEvent) {}

fn main() {
    let _ = subscriptions![audit()];
}
