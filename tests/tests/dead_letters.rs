//! What a dead letter says, and that it stays until somebody takes it.

use std::time::{Duration, SystemTime};

use lapin::BasicProperties;
use rabbitry::{AnyEvent, RetryPolicy, Service, Subscription, prelude::*};
use rabbitry_tests::{Books, Client, Header, Raw, Record, TestBroker, eventually, stop, table};
use serde_json::json;

#[derive(Debug, thiserror::Error)]
#[error("the order cannot be packed")]
struct Unpacked(#[source] Missing);

#[derive(Debug, thiserror::Error)]
#[error("an item is missing")]
struct Missing(#[source] Empty);

#[derive(Debug, thiserror::Error)]
#[error("shelf 7 is empty")]
struct Empty;

fn text(value: &str) -> Header {
    Header::LongString(value.into())
}

/// A time as RFC 3339 writes it, in UTC and to the millisecond.
fn assert_is_a_time(text: &str) {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_says_what_happened_and_keeps_the_rest() {
    let broker = TestBroker::new().await;
    let policy = RetryPolicy::default().attempts(2).immediate(0).first(Duration::from_secs(1)).jitter(0.0);
    let subscription = Subscription::to("order.*")
        .name("pack")
        .retry(policy)
        .handler(|_: AnyEvent| async { Err::<(), _>(Unpacked(Missing(Empty))) });
    let running = broker.start(Service::new("shop").subscription(subscription)).await;
    let client = broker.client().await;
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let headers = [
        ("tenant", text("north")),
        ("X-Capital", text("a sender's own")),
        ("nested", Header::FieldTable(table(&[("flag", Header::Boolean(true)), ("f", Header::Double(0.5))]))),
        ("traceparent", text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
    ];
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_headers(table(&headers))
        .with_delivery_mode(2)
        .with_priority(3)
        .with_correlation_id("checkout".into())
        .with_reply_to("answers".into())
        .with_message_id("order-1".into())
        .with_timestamp(seconds)
        .with_type("order.created".into())
        .with_app_id("till".into())
        .with_cluster_id("left".into());
    let body = br#"{ "order_id" : 1,  "note": "spaces and \u00e4 are kept" }"#;
    client.publish("events", "order.created", properties.clone(), body).await;
    let dead = client.receive("shop.pack.dead", 1).await.remove(0);
    for (name, value) in [
        ("rabbitry-reason", "error"),
        ("rabbitry-error", "the order cannot be packed: an item is missing: shelf 7 is empty"),
        ("rabbitry-handler", "pack"),
        ("rabbitry-service", "shop"),
        ("rabbitry-queue", "shop.pack"),
        ("rabbitry-original-exchange", "events"),
        ("rabbitry-original-routing-key", "order.created"),
    ] {
        assert_eq!(dead.text(name), value, "{name}");
    }
    assert_eq!(dead.number("rabbitry-attempt"), Some(2));
    let (first, last) = (dead.text("rabbitry-first-failure"), dead.text("rabbitry-last-failure"));
    assert_is_a_time(&first);
    assert_is_a_time(&last);
    // Texts of this form compare as their times do. A second lies between the two runs.
    assert!(first < last, "{first} {last}");
    assert_eq!((&*dead.exchange, &*dead.routing_key), ("rabbitry.v1.dead", "shop.pack"));
    assert_eq!(dead.body, body);
    for (name, value) in &headers {
        assert_eq!(dead.header(name), Some(value), "{name}");
    }
    // All other properties are as they were.
    let kept = dead.properties.with_headers(table(&headers));
    assert_eq!(kept, properties);
    stop(running).await;
    Books::settled(&broker, 0).await.balance(1, 1);
}

/// Looking puts it back, which counts as a delivery: with a delivery limit of its own a dead letter would be gone in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_can_be_looked_at_for_ever() {
    let broker = TestBroker::new().await;
    let handler = |_: AnyEvent| async { Err::<(), _>("never").or_reject() };
    let running = broker.start(Service::new("shop").subscribe("order", handler)).await;
    let client = broker.client().await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    eventually("a dead letter", || async { client.count("shop.order.dead").await == Some(1) }).await;
    stop(running).await;
    for _ in 0..50 {
        let dead = client.look("shop.order.dead").await.expect("it is still there");
        assert_eq!((dead.id(), dead.text("rabbitry-reason")), ("order-1".to_owned(), "rejected".to_owned()));
    }
    Books::settled(&broker, 1).await.balance(1, 0);
}

/// Takes a message and puts it back, again and again, until the queue has none.
async fn put_back_until_gone(client: &Client, queue: &str) -> usize {
    let mut looks = 0;
    while client.look(queue).await.is_some() {
        looks += 1;
        assert!(looks < 100, "the broker delivers it for ever");
    }
    looks
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_gives_up_lies_with_the_other_dead_letters() {
    let broker = TestBroker::new().await;
    let service = || Service::new("shop").subscribe("order", |_: AnyEvent| async {});
    service().broker(broker.url()).declare().await.unwrap();
    let client = broker.client().await;
    client.publish_bare("events", "order", "order-1", &json!({ "order_id": 1 })).await;
    // A limit of 20 is 21 deliveries.
    assert_eq!(put_back_until_gone(&client, "shop.order").await, 21);
    let dead = client.receive("shop.order.dead", 1).await;
    assert_eq!(dead[0].id(), "order-1");
    assert_eq!(dead[0].json(), json!({ "order_id": 1 }));
    assert_eq!((&*dead[0].exchange, &*dead[0].routing_key), ("rabbitry.v1.dead", "shop.order"));
    let Some(Header::FieldArray(deaths)) = dead[0].header("x-death") else { panic!("{dead:?}") };
    let Some(Header::FieldTable(death)) = deaths.as_slice().first() else { panic!("{deaths:?}") };
    assert_eq!(death.inner().get("reason"), Some(&text("delivery_limit")));
    Books::settled(&broker, 0).await.balance(1, 1);
}

/// Before the broker gives up, the service does: a message that ends every process that takes it is a failed run each time.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_ever_answered_is_abandoned() {
    let broker = TestBroker::new().await;
    let runs = Record::default();
    let record = runs.clone();
    let handler = move |event: AnyEvent| {
        record.add(event.json().to_owned());
        async {}
    };
    let policy = RetryPolicy::default().attempts(1);
    let service =
        |name: &str, handler| Service::new(name).subscription(Subscription::to("order").retry(policy).handler(handler));
    service("shop", handler.clone()).broker(broker.url()).declare().await.unwrap();
    let client = broker.client().await;
    client.publish_bare("events", "order", "order-1", &json!("kills")).await;
    for _ in 0..3 {
        client.look("shop.order").await.expect("it is put back");
    }
    client.publish_bare("events", "order", "order-2", &json!("good")).await;
    let running = broker.start(service("shop", handler)).await;
    let dead: Vec<Raw> = client.receive("shop.order.dead", 1).await;
    assert_eq!((dead[0].id(), dead[0].text("rabbitry-reason")), ("order-1".to_owned(), "abandoned".to_owned()));
    assert_eq!(runs.wait_for(1).await, [r#""good""#]);
    stop(running).await;
    assert_eq!(runs.len(), 1, "what ended three processes is not run in a fourth");
    Books::settled(&broker, 0).await.balance(2, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_is_dead_at_once() {
    let broker = TestBroker::new().await;
    let runs = Record::default();
    let record = runs.clone();
    // By default there are seven attempts, over minutes.
    let handler = move |event: AnyEvent| {
        record.add(event.json().to_owned());
        async { Err::<(), _>(Unpacked(Missing(Empty))).or_reject() }
    };
    let running = broker.start(Service::new("shop").subscribe("order", handler)).await;
    let client = broker.client().await;
    for i in 0..20 {
        client.publish_bare("events", "order", &format!("order-{i}"), &json!(i)).await;
    }
    let dead = client.receive("shop.order.dead", 20).await;
    for dead in &dead {
        assert_eq!(dead.text("rabbitry-reason"), "rejected");
        assert_eq!(dead.number("rabbitry-attempt"), Some(1));
        assert_eq!(dead.text("rabbitry-first-failure"), dead.text("rabbitry-last-failure"));
    }
    stop(running).await;
    assert_eq!(runs.len(), 20);
    Books::settled(&broker, 0).await.balance(20, 20);
}
