#![allow(unused)]

use rabbitry::event;

#[event("shop_opened")]
struct ShopOpened;

fn main() {}
