//! What becomes of an event whose handler fails.

use rabbitry::{AnyEvent, RetryPolicy, Service, Subscription};
use rabbitry_tests::{Books, Record, TestBroker, within};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_handled() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let record = seen.clone();
    let service = Service::new("audit").broker(broker.url()).publishes::<AnyEvent>().subscribe(
        "order.*",
        move |event: AnyEvent| {
            record.add(event.json().to_owned());
            async {}
        },
    );
    let running = within("starting", service.start()).await.unwrap();
    let publisher = running.publisher::<AnyEvent>().unwrap();
    publisher.publish_value("order.created", json!({ "order_id": 1 }), None).await.unwrap();
    assert_eq!(seen.wait_for(1).await, [r#"{"order_id":1}"#]);
    within("stopping", running.shutdown()).await.unwrap();
    Books::read(&broker).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_event_is_retried_and_then_dead() {
    let broker = TestBroker::new().await;
    let runs = Record::default();
    let record = runs.clone();
    let subscription =
        Subscription::to("order").retry(RetryPolicy::default().attempts(3)).handler(move |event: AnyEvent| {
            record.add(std::time::Instant::now());
            async move { Err::<(), _>(format!("no {}", event.name())) }
        });
    let service = Service::new("audit").broker(broker.url()).publishes::<AnyEvent>().subscription(subscription);
    let running = within("starting", service.start()).await.unwrap();
    let publisher = running.publisher::<AnyEvent>().unwrap();
    publisher.publish_value("order", json!({ "order_id": 1 }), None).await.unwrap();
    let client = broker.client().await;
    let dead = client.receive("audit.order.dead", 1).await;
    assert_eq!(runs.len(), 3);
    println!("{dead:#?}");
    within("stopping", running.shutdown()).await.unwrap();
    Books::read(&broker).await.balance(0, 0);
}
