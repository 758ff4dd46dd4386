#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

struct OutOfStock;

#[subscribe("order_created")]
async fn audit(event: AnyEvent) -> Result<(), OutOfStock> {
    Err(OutOfStock)
}

fn main() {}
