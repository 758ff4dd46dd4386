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
    sync::Arc,
    time::Duration,
};

use case::{Case, Is};
use rabbitry::{AnyEvent, Attempt, Metadata, RetryPolicy, Service, Subscription, event};
use rabbitry_tests::{Books, Client, Fields, Raw, Record, Socket, TestBroker, Text, To, stop, value};
use serde_json::json;
use tokio::sync::Semaphore;

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
    let takes = Subscription::to("order").name("takes").handler(move |order: Order, _: Metadata| {
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
        let to = To { exchange: "events", routing_key: &case.key };
        socket.send(to, &case.numbered(number), &case.body(number)).await;
        let good = format!(r#"{{"order_id":{}}}"#, GOOD + number as i64);
        socket.send(To { exchange: "events", routing_key: b"order" }, &Fields::default(), good.as_bytes()).await;
    }
    socket.confirmed().await;

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

/// A message that comes as if it had run before: by the delay ladder, with the count of our own copies. Whoever may write to
/// the ladder can say any number; all that it decides is how often the handler runs, and never that it runs without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_number_of_attempts_is_a_number() {
    let broker = TestBroker::new().await;
    let runs = Record::default();
    let record = runs.clone();
    let policy = RetryPolicy::default().attempts(3).immediate(0).first(Duration::from_secs(1)).factor(1.0).jitter(0.0);
    let fails =
        Subscription::to("order").name("fails").retry(policy).handler(move |event: AnyEvent, attempt: Attempt| {
            record.add((event.json().to_owned(), attempt.number));
            async { Err::<(), _>("never") }
        });
    let running = broker.start(Service::new("hostile").subscription(fails)).await;
    // What is said, and the numbers of the runs that follow.
    let unsaid = || (1..=3).collect::<Vec<u32>>();
    let cases = [
        (value::number(0), unsaid()),
        (value::number(1), vec![2, 3]),
        (value::number(2), vec![3]),
        // More than the policy has: the run that is under way is the last.
        (value::number(3), vec![4]),
        (value::number(1000), vec![1001]),
        (value::number(4_294_967_294), vec![u32::MAX]),
        // No number that we write.
        (value::number(4_294_967_295), unsaid()),
        (value::number(4_294_967_298), unsaid()),
        (value::number(-1), unsaid()),
        (value::number(-7), unsaid()),
        (value::number(i64::MIN), unsaid()),
        (value::number(i64::MAX), unsaid()),
        (value::text("2"), unsaid()),
        (value::of(b'd', 2_f64.to_be_bytes()), unsaid()),
        (value::of(b'T', [0; 8]), unsaid()),
        (value::of(b't', [1]), unsaid()),
        (value::of(b'V', []), unsaid()),
        (value::array(&[value::number(2)]), unsaid()),
    ];
    let mut socket = Socket::connect(&broker).await;
    let key = format!("{}queue.hostile.fails", "0.".repeat(28));
    for (number, (attempt, _)) in cases.iter().enumerate() {
        let fields = Fields::default().headers(&[
            ("rabbitry-attempt", attempt.clone()),
            ("rabbitry-queue", value::text("hostile.fails")),
            ("rabbitry-original-exchange", value::text("events")),
            ("rabbitry-original-routing-key", value::text("order")),
            ("rabbitry-first-failure", value::text("2999-12-31T23:59:59.999Z")),
        ]);
        let to = To { exchange: "rabbitry.v1.delay.out", routing_key: key.as_bytes() };
        socket.publish(to, &fields.text(Text::ClusterId, number.to_string()), number.to_string().as_bytes()).await;
    }
    let client = broker.client().await;
    let dead = dead_letters(&client, "hostile.fails.dead", cases.len()).await;
    let runs = runs.all();
    for (number, (attempt, expected)) in cases.iter().enumerate() {
        let of_this = runs.iter().filter(|(json, _)| *json == number.to_string()).map(|(_, attempt)| *attempt);
        assert_eq!(of_this.collect::<Vec<_>>(), *expected, "{attempt:?}");
        let dead = &dead[&number];
        assert_eq!(dead.text("rabbitry-reason"), "error");
        assert_eq!(dead.number("rabbitry-attempt"), expected.last().map(|attempt| i64::from(*attempt)));
        // A time is only told.
        assert_eq!(dead.text("rabbitry-first-failure"), "2999-12-31T23:59:59.999Z");
    }
    stop(running).await;
    Books::settled(&broker, 0).await;
}

/// The broker counts deliveries in a header of its own, from the second on: then it is longer than any frame.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fills_its_frame_can_come_again() {
    let broker = TestBroker::new().await;
    let (begun, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let (record, entered) = (begun.clone(), Arc::clone(&gate));
    let take = Subscription::to("order").name("take").handler(move |order: Order, metadata: Metadata| {
        record.add((order.order_id, metadata.get("small").cloned()));
        let entered = Arc::clone(&entered);
        async move { entered.acquire().await.unwrap().forget() }
    });
    let running = broker.start(Service::new("hostile").subscription(take)).await;
    let mut socket = Socket::connect(&broker).await;
    let headers =
        |large| Fields::default().headers(&[("large", value::text(vec![b'x'; large])), ("small", value::text("s"))]);
    let full = headers(socket.frame_max() - headers(0).frame_len());
    assert_eq!(full.frame_len(), socket.frame_max());
    let to = To { exchange: "events", routing_key: b"order" };
    socket.publish(to, &full, br#"{"order_id":1}"#).await;
    begun.wait_for(1).await;
    broker.close_connections().await;
    begun.wait_for(2).await;
    // It is neither lost nor does it end the connection that brought it again.
    let connections = broker.connection_ids().await;
    gate.add_permits(2);
    let mut socket = Socket::connect(&broker).await;
    socket.publish(to, &Fields::default(), br#"{"order_id":2}"#).await;
    gate.add_permits(1);
    let small = Some(json!("s"));
    assert_eq!(begun.wait_for(3).await, [(1, small.clone()), (1, small), (2, None)]);
    assert!(broker.connection_ids().await.is_superset(&connections), "none was lost");
    stop(running).await;
    Books::settled(&broker, 0).await;
}
