//! Messages that are made to do harm, byte by byte, sent to a service between good ones.

#[path = "hostile/bodies.rs"]
mod bodies;
#[path = "hostile/case.rs"]
mod case;
#[path = "hostile/headers.rs"]
mod headers;
#[path = "hostile/properties.rs"]
mod properties;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use case::{Case, Is};
use rabbitry::{AnyEvent, RetryPolicy, Service, Subscription, event};
use rabbitry_tests::{Books, Client, Fields, Raw, Record, Socket, TestBroker, To, stop};

#[event("order")]
struct Order {
    order_id: i64,
}

/// The largest body that the service reads.
const BODY_LIMIT: usize = 1024 * 1024;
/// What is added to the number of a case for the good message behind it.
const GOOD: i64 = 1_000_000;

fn cases() -> Vec<Case> {
    [properties::all(), headers::all(), bodies::all()].into_iter().flatten().collect()
}

/// Fails on whatever is not good: it runs twice, a second apart.
fn fails() -> Subscription {
    let policy = RetryPolicy::default().attempts(2).immediate(0).first(Duration::from_secs(1)).jitter(0.0);
    Subscription::to("order").name("fails").retry(policy).handler(async |event: AnyEvent| {
        match event.decode::<Order>() {
            Ok(order) if order.order_id >= GOOD => Ok(()),
            _ => Err("it is hostile"),
        }
    })
}

/// Takes the dead letters of a queue, by the number of their case.
async fn dead_letters(client: &Client, queue: &str, count: usize) -> BTreeMap<usize, Raw> {
    let dead = client.receive(queue, count).await;
    let by_number: BTreeMap<_, _> = dead.into_iter().map(|dead| (case::number_of(&dead), dead)).collect();
    assert_eq!(by_number.len(), count, "none is there twice");
    by_number
}

#[test]
fn there_are_two_hundred_and_none_twice() {
    let cases = cases();
    assert!(cases.len() >= 200, "{}", cases.len());
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len());
    let messages: BTreeSet<_> =
        cases.iter().map(|case| (case.key.clone(), case.fields.clone(), case.body(0))).collect();
    assert_eq!(messages.len(), cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_messages_end_in_the_dead_letters_and_hold_up_nothing() {
    let broker = TestBroker::new().await;
    let taken = Record::default();
    let record = taken.clone();
    let takes = Subscription::to("order").name("takes").handler(move |order: Order| {
        record.add(order.order_id);
        async {}
    });
    let service = Service::new("hostile").body_limit(BODY_LIMIT).subscription(takes).subscription(fails());
    let running = broker.start(service).await;
    let client = broker.client().await;
    for queue in ["hostile.takes", "hostile.fails"] {
        // For routing keys that no event of ours has.
        client.bind(queue, "events", "order.#").await;
    }
    let connections = broker.connection_ids().await;

    let cases = cases();
    let mut socket = Socket::connect(&broker).await;
    for (number, case) in cases.iter().enumerate() {
        let fields = case.numbered(number);
        socket.publish(To { exchange: "events", routing_key: &case.key }, &fields, &case.body(number)).await;
        let good = format!(r#"{{"order_id":{}}}"#, GOOD + number as i64);
        socket.publish(To { exchange: "events", routing_key: b"order" }, &Fields::default(), good.as_bytes()).await;
    }

    // Whatever it is, the handler that fails on it has it in its dead letters, with the reason.
    let dead = dead_letters(&client, "hostile.fails.dead", cases.len()).await;
    for (number, case) in cases.iter().enumerate() {
        let name = &case.name;
        let dead = dead.get(&number).unwrap_or_else(|| panic!("{name} is lost"));
        let (reason, attempt) = if case.is == Is::Nothing { ("undecodable", 1) } else { ("error", 2) };
        let error = dead.text("rabbitry-error");
        assert_eq!(
            (dead.text("rabbitry-reason"), dead.number("rabbitry-attempt")),
            (reason.to_owned(), Some(attempt)),
            "{name}: {error}"
        );
        assert_eq!(dead.text("rabbitry-queue"), "hostile.fails", "{name}");
        assert!(dead.body == case.body(number), "{name}: the body is as it came");
        assert!((case.check)(dead), "{name}: {dead:.2000?}");
    }
    // The handler of orders takes those that are orders, and these come to no harm.
    let orders = cases.iter().filter(|case| case.is == Is::Order).count();
    let mut taken = taken.wait_for(orders + cases.len()).await;
    let dead = dead_letters(&client, "hostile.takes.dead", cases.len() - orders).await;
    for (number, case) in cases.iter().enumerate() {
        let reason = dead.get(&number).map(|dead| dead.text("rabbitry-reason"));
        assert_eq!(reason.as_deref(), (case.is != Is::Order).then_some("undecodable"), "{}", case.name);
    }
    taken.sort_unstable();
    let numbers = |offset: i64| (0_i64..).zip(&cases).map(move |(number, case)| (number + offset, case));
    let harmless = numbers(0).filter(|(_, case)| case.is == Is::Order).map(|(number, _)| number);
    let expected: Vec<i64> = harmless.chain(numbers(GOOD).map(|(number, _)| number)).collect();
    assert_eq!(taken, expected);

    assert!(running.health().is_ready(), "{:?}", running.health());
    assert!(broker.connection_ids().await.is_superset(&connections), "none was lost");
    stop(running).await;
    Books::settled(&broker, 0).await;
}
