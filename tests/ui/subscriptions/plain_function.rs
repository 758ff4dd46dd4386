#![allow(unused)]

use rabbitry::subscriptions;

async fn audit() {}

fn main() {
    let _ = subscriptions![audit];
}
