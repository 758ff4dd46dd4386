//! The shop in one process: its choice of a broker, and its demo on a broker that others have used.

use rabbitry::Broker;
use rabbitry_tests::{TestBroker, within};
use serde_json::json;
use shop::{broker, demo, outcome::Outcome};

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_that_answers_is_taken() {
    let rabbitmq = TestBroker::new().await;
    let chosen = within("choosing", broker::choose(None, &rabbitmq.url())).await.unwrap();
    assert!(chosen.why.contains("which answers"), "{}", chosen.why);
    assert_eq!(format!("{:?}", chosen.broker), format!("{:?}", Broker::amqp(rabbitmq.url())));
    // It is there, but not for us.
    let chosen = within("choosing", broker::choose(None, &rabbitmq.url_of("nobody"))).await.unwrap();
    assert!(chosen.why.starts_with("the memory of this process"), "{}", chosen.why);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_not_disturbed_by_what_was_there_before() {
    let rabbitmq = TestBroker::new().await;
    let url = Broker::amqp(rabbitmq.url());
    let first = within("the first demo", demo::run(&url, false)).await.unwrap();
    assert_eq!(first, Outcome::expected());

    // What another shop left: orders of products that the demo has not, and one that cannot be sent.
    let client = rabbitmq.client().await;
    for id in [1, 8, 9] {
        let order = json!({ "id": id, "customer_id": 3, "total": 1, "items": [{ "product_id": 7, "quantity": 1 }] });
        client
            .publish_bare("events", "order_created", &id.to_string(), &json!({ "order_id": id, "order": order }))
            .await;
        client.publish_bare("events", "stock_reserved", &format!("{id}!"), &json!({ "order_id": id })).await;
    }
    let second = within("the second demo", demo::run(&url, false)).await.unwrap();
    assert_eq!(second, Outcome::expected());

    // All dead letters are still there: one of each demo, and the other shop's.
    let letters = client.receive("warehouse.send_parcel.dead", 3).await;
    assert_eq!(letters.len(), 3);
    assert_eq!(client.count("warehouse.send_parcel.dead").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_the_same_in_memory() {
    let shown = within("the demo", demo::run(&Broker::memory(), false)).await.unwrap();
    assert_eq!(shown, Outcome::expected());
}
