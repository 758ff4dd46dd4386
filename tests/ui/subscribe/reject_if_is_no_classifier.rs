#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

fn is_final(error: &std::fmt::Error) -> u8 {
    0
}

#[subscribe("order_created", reject_if = is_final)]
async fn audit(event: AnyEvent) -> Result<(), std::fmt::Error> {
    Ok(())
}

fn main() {}
