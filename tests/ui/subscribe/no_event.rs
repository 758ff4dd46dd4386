#![allow(unused)]

use rabbitry::{Metadata, subscribe};

#[subscribe("order_created")]
async fn audit(metadata: Metadata) {}

fn main() {}
