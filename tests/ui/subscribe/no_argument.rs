#![allow(unused)]

use rabbitry::subscribe;

#[subscribe("order_created")]
async fn audit() {}

fn main() {}
