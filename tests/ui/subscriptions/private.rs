#![allow(unused)]

use rabbitry::subscriptions;

mod auditing {
    use rabbitry::{AnyEvent, subscribe};

    #[subscribe("order_created")]
    async fn audit(event: AnyEvent) {}
}

fn main() {
    let _ = subscriptions![auditing::audit];
}
