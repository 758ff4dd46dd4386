//! Only on RabbitMQ: an operator closes connections with rabbitmqctl. The other retries are in `retries.rs`.

use std::time::Duration;

use rabbitry::{AnyEvent, Attempt, RetryPolicy, Service, Subscription};
use rabbitry_tests::{Books, Record, TestBroker, stop};
use serde_json::json;
use tokio::sync::watch;

/// The broker delivers again what was in hand on a lost connection; the handler that fails on it then has lost no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_costs_no_attempt() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let runs = Record::default();
    let record = runs.clone();
    let (release, released) = watch::channel(false);
    let handler = move |_: AnyEvent, attempt: Attempt| {
        record.add((attempt.number, attempt.of));
        let mut released = released.clone();
        async move {
            // The first run outlives its connection; the second ends at once.
            let _ = released.wait_for(|released| *released).await;
            Err::<(), _>("no stock")
        }
    };
    let policy = RetryPolicy::default().attempts(2).immediate(0).first(Duration::from_secs(1)).jitter(0.0);
    let subscription = Subscription::to("order").retry(policy).handler(handler);
    let running = broker.start(Service::new("audit").subscription(subscription)).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    runs.wait_for(1).await;
    // The operator closes our client's connection, too.
    broker.close_connections().await;
    let client = broker.client().await;
    assert_eq!(runs.wait_for(2).await, [(1, 2), (1, 2)]);
    release.send_replace(true);
    let dead = client.receive("audit.order.dead", 1).await;
    assert_eq!(dead[0].number("rabbitry-attempt"), Some(2));
    // One run that was lost with its connection, and the two of the policy.
    stop(running).await;
    assert_eq!(runs.all(), [(1, 2), (1, 2), (2, 2)]);
    Books::settled(&broker, 0).await.balance(1, 1);
}
