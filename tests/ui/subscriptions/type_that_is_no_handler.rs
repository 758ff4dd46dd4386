#![allow(unused)]

use rabbitry::subscriptions;

struct Audit;

fn main() {
    let _ = subscriptions![Audit];
}
