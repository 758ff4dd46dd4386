#![allow(unused)]

use rabbitry::payload;

#[payload("sku")]
struct Sku(String);

fn main() {}
