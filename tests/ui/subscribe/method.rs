#![allow(unused)]

use rabbitry::{AnyEvent, subscribe};

struct Stock;

impl Stock {
    #[subscribe("order_created")]
    async fn reserve(&self, event: AnyEvent) {}
}

fn main() {}
