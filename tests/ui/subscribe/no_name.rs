#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

#[subscribe]
async fn audit(event: AnyEvent) {}

fn main() {}
