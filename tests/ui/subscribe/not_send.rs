#![allow(unused)]

use std::rc::Rc;

use rabbitry::{AnyEvent, subscribe};

#[subscribe("order_created")]
async fn audit(event: AnyEvent) {
    let count = Rc::new(1);
    std::future::ready(()).await;
    drop(count);
}

fn main() {}
