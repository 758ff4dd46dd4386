//! What a dead letter says, and that it stays until somebody takes it.

use std::time::SystemTime;

use rabbitry::{
    AnyEvent, RetryPolicy, Service, Subscription,
    prelude::*,
    testing,
    transport::{HeaderValue, Headers, Message, Properties},
};
use rabbitry_tests::{
    Books, LATE, Record, Stranger, eventually, id, integer, json as data, on_both, stop, text, texts, unit,
};
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

/// A time as RFC 3339 writes it, in UTC and to the millisecond.
fn assert_is_a_time(text: &str) {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
}

/// Where a message was sent to last.
fn address(message: &Message) -> (&str, &str) {
    (&message.exchange, &message.routing_key)
}

on_both! {
async fn a_dead_letter_says_what_happened_and_keeps_the_rest(place: Place) {
    let unit = unit(&place);
    let policy = RetryPolicy::default().attempts(2).immediate(0).first(unit).jitter(0.0);
    let subscription = Subscription::to("order.*")
        .name("pack")
        .retry(policy)
        .handler(|_: AnyEvent| async { Err::<(), _>(Unpacked(Missing(Empty))) });
    let mut test = testing::start_on(place, Service::new("shop").subscription(subscription)).await;
    let client = Stranger::on(&test.broker()).await;
    let seconds = test.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let nested = Headers::from([
        ("flag".to_owned(), HeaderValue::Bool(true)),
        ("f".to_owned(), HeaderValue::F64(0.5)),
    ]);
    let mut headers = texts(&[
        ("tenant", "north"),
        ("X-Capital", "a sender's own"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ]);
    headers.insert("nested".to_owned(), HeaderValue::Table(nested));
    let properties = Properties {
        content_type: Some("application/json".into()),
        content_encoding: Some("utf-8".into()),
        headers: headers.clone(),
        delivery_mode: Some(2),
        priority: Some(3),
        correlation_id: Some("checkout".into()),
        reply_to: Some("answers".into()),
        message_id: Some("order-1".into()),
        timestamp: Some(seconds),
        kind: Some("order.created".into()),
        app_id: Some("till".into()),
        cluster_id: Some("left".into()),
        ..Properties::default()
    };
    let body = br#"{ "order_id" : 1,  "note": "spaces and \u00e4 are kept" }"#;
    client.publish("events", "order.created", properties.clone(), body).await;
    let dead = test.until(client.receive("shop.pack.dead", 1)).await.remove(0).message;
    for (name, value) in [
        ("rabbitry-reason", "error"),
        ("rabbitry-error", "the order cannot be packed: an item is missing: shelf 7 is empty"),
        ("rabbitry-handler", "pack"),
        ("rabbitry-service", "shop"),
        ("rabbitry-queue", "shop.pack"),
        ("rabbitry-original-exchange", "events"),
        ("rabbitry-original-routing-key", "order.created"),
    ] {
        assert_eq!(text(&dead, name), value, "{name}");
    }
    assert_eq!(integer(&dead, "rabbitry-attempt"), Some(2));
    let (first, last) = (text(&dead, "rabbitry-first-failure"), text(&dead, "rabbitry-last-failure"));
    assert_is_a_time(&first);
    assert_is_a_time(&last);
    // Texts of this form compare as their times do. A unit lies between the two runs.
    assert!(first < last, "{first} {last}");
    let gap = test.handled("pack").gaps()[0];
    assert!(gap >= unit && gap < unit + LATE, "{gap:?}");
    assert_eq!(address(&dead), ("rabbitry.v1.dead", "shop.pack"));
    assert_eq!(dead.body, body[..]);
    for (name, value) in &headers {
        assert_eq!(dead.properties.headers.get(name), Some(value), "{name}");
    }
    // All other properties are as they were.
    assert_eq!(Properties { headers, ..dead.properties }, properties);
    stop(test.take(0)).await;
    Books::settled_in(&test, 0).await.balance(1, 1);
    test.shutdown().await;
}

/// Looking puts it back, which counts as a delivery: with a delivery limit of its own a dead letter would be gone in the end.
async fn a_dead_letter_can_be_looked_at_for_ever(place: Place) {
    let handler = |_: AnyEvent| async { Err::<(), _>("never").or_reject() };
    let mut test = testing::start_on(place, Service::new("shop").subscribe("order", handler)).await;
    let client = Stranger::on(&test.broker()).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    eventually("a dead letter", || async { client.count("shop.order.dead").await == 1 }).await;
    stop(test.take(0)).await;
    for _ in 0..50 {
        let dead = client.put_back("shop.order.dead", 1).await.message;
        assert_eq!((&*id(&dead), &*text(&dead, "rabbitry-reason")), ("order-1", "rejected"));
    }
    Books::settled_in(&test, 1).await.balance(1, 0);
    test.shutdown().await;
}

async fn what_the_broker_gives_up_lies_with_the_other_dead_letters(place: Place) {
    let mut test = testing::start_on(place, Service::new("shop").subscribe("order", |_: AnyEvent| async {})).await;
    // Its queue stays.
    stop(test.take(0)).await;
    let client = Stranger::on(&test.broker()).await;
    client.publish_bare("events", "order", "order-1", &json!({ "order_id": 1 })).await;
    // A limit of 20 is 21 deliveries.
    let given_up = eventually("a dead letter", || async { client.count("shop.order.dead").await == 1 });
    assert_eq!(client.put_back_until("shop.order", given_up).await, 21);
    let dead = client.receive("shop.order.dead", 1).await.remove(0).message;
    assert_eq!(id(&dead), "order-1");
    assert_eq!(data(&dead), json!({ "order_id": 1 }));
    assert_eq!(address(&dead), ("rabbitry.v1.dead", "shop.order"));
    let Some(HeaderValue::Array(deaths)) = dead.properties.headers.get("x-death") else { panic!("{dead:?}") };
    let Some(HeaderValue::Table(death)) = deaths.first() else { panic!("{deaths:?}") };
    assert_eq!(death.get("reason"), Some(&HeaderValue::Text(b"delivery_limit".to_vec())));
    Books::settled_in(&test, 0).await.balance(1, 1);
    test.shutdown().await;
}

/// Before the broker gives up, the service does: a message that ends every process that takes it is a failed run each time.
async fn what_nobody_ever_answered_is_abandoned(place: Place) {
    let runs = Record::default();
    let record = runs.clone();
    let handler = move |event: AnyEvent| {
        record.add(event.json().to_owned());
        async {}
    };
    let policy = RetryPolicy::default().attempts(1);
    let service =
        || Service::new("shop").subscription(Subscription::to("order").retry(policy).handler(handler.clone()));
    let mut test = testing::start_on(place, service()).await;
    stop(test.take(0)).await;
    let client = Stranger::on(&test.broker()).await;
    client.publish_bare("events", "order", "order-1", &json!("kills")).await;
    client.put_back("shop.order", 3).await;
    client.publish_bare("events", "order", "order-2", &json!("good")).await;
    test.start_another(service()).await;
    let dead = client.receive("shop.order.dead", 1).await.remove(0).message;
    assert_eq!((&*id(&dead), &*text(&dead, "rabbitry-reason")), ("order-1", "abandoned"));
    assert_eq!(runs.wait_for(1).await, [r#""good""#]);
    stop(test.take(0)).await;
    assert_eq!(runs.len(), 1, "what ended three processes is not run in a fourth");
    Books::settled_in(&test, 0).await.balance(2, 2);
    test.shutdown().await;
}

async fn what_is_rejected_is_dead_at_once(place: Place) {
    let runs = Record::default();
    let record = runs.clone();
    // By default there are seven attempts, over minutes.
    let handler = move |event: AnyEvent| {
        record.add(event.json().to_owned());
        async { Err::<(), _>(Unpacked(Missing(Empty))).or_reject() }
    };
    let mut test = testing::start_on(place, Service::new("shop").subscribe("order", handler)).await;
    let client = Stranger::on(&test.broker()).await;
    for i in 0..20 {
        client.publish_bare("events", "order", &format!("order-{i}"), &json!(i)).await;
    }
    // Nothing moves the clock.
    for dead in client.receive("shop.order.dead", 20).await {
        let dead = dead.message;
        assert_eq!(text(&dead, "rabbitry-reason"), "rejected");
        assert_eq!(integer(&dead, "rabbitry-attempt"), Some(1));
        assert_eq!(text(&dead, "rabbitry-first-failure"), text(&dead, "rabbitry-last-failure"));
    }
    stop(test.take(0)).await;
    assert_eq!(runs.len(), 20);
    Books::settled_in(&test, 0).await.balance(20, 20);
    test.shutdown().await;
}
}
