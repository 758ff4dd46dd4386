#![allow(unused)]

use rabbitry::event;

#[event("order_created")]
struct OrderCreated {
    #[key("order")]
    order_id: i64,
}

fn main() {}
