#![allow(unused)]

use rabbitry::payload;

#[payload]
struct Item {
    #[key]
    sku: String,
}

fn main() {}
