//! How retries are counted, how they wait, and where they come back to.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rabbitry::{AnyEvent, Attempt, HandlerError, RetryPolicy, Service, Subscription};
use rabbitry_tests::{Books, Header, Raw, Record, TestBroker, stop};
use serde_json::json;
use tokio::sync::watch;

fn policy(attempts: u32, first: u64) -> RetryPolicy {
    let first = Duration::from_secs(first);
    RetryPolicy::default().attempts(attempts).immediate(0).first(first).factor(1.0).jitter(0.0)
}

/// A service whose handler of `order` always fails, and notes its attempts.
fn failing(service: &str, policy: RetryPolicy, runs: &Record<u32>) -> Service {
    let runs = runs.clone();
    let handler = move |_: AnyEvent, attempt: Attempt| {
        runs.add(attempt.number);
        async { Err::<(), _>("no stock") }
    };
    Service::new(service).subscription(Subscription::to("order").retry(policy).handler(handler))
}

/// The queues that a message has died in, by the broker's own header.
fn deaths(raw: &Raw) -> BTreeSet<String> {
    let Some(Header::FieldArray(deaths)) = raw.header("x-death") else { return BTreeSet::new() };
    let queue = |death: &Header| match death {
        Header::FieldTable(death) => match death.inner().get("queue") {
            Some(Header::LongString(queue)) => Some(queue.to_string()),
            _ => None,
        },
        _ => None,
    };
    deaths.as_slice().iter().filter_map(queue).collect()
}

/// The delay in seconds that a message went through the ladder with.
fn delay(raw: &Raw) -> u64 {
    let bits = raw.routing_key.split('.').take(28);
    bits.fold(0, |seconds, bit| seconds << 1 | u64::from(bit == "1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_go_on_where_the_last_process_ended() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let runs = Record::default();
    let running = broker.start(failing("audit", policy(4, 1), &runs)).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    assert_eq!(runs.wait_for(2).await, [1, 2]);
    stop(running).await;
    let running = broker.start(failing("audit", policy(4, 1), &runs)).await;
    let dead = client.receive("audit.order.dead", 1).await;
    assert_eq!(dead[0].number("rabbitry-attempt"), Some(4));
    stop(running).await;
    assert_eq!(runs.all(), [1, 2, 3, 4]);
    Books::settled(&broker, 0).await.balance(1, 1);
}

/// With nothing but immediate retries a service has no ladder, so they can only be in this process.
#[tokio::test(flavor = "multi_thread")]
async fn immediate_retries_never_leave_the_process() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let runs = Record::default();
    let immediate = RetryPolicy::default().attempts(5).immediate(4);
    let running = broker.start(failing("audit", immediate, &runs)).await;
    assert!(broker.queues().await.iter().all(|queue| !queue.starts_with("rabbitry.v1.delay.")));
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    let dead = client.receive("audit.order.dead", 1).await;
    assert_eq!(dead[0].text("rabbitry-reason"), "error");
    stop(running).await;
    assert_eq!(runs.all(), [1, 2, 3, 4, 5]);
    Books::settled(&broker, 0).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_waits_in_the_levels_that_its_bits_name() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let runs = Record::default();
    let running = broker.start(failing("audit", policy(2, 5), &runs)).await;
    let published = Instant::now();
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    runs.wait_for(1).await;
    // Now nobody but us receives the retry.
    stop(running).await;
    let retry = client.receive("audit.order", 1).await;
    assert!(published.elapsed() >= Duration::from_secs(5), "it came after {:?}", published.elapsed());
    // 5 s are 4 s and 1 s: it passed the level of 2 s.
    let levels = ["rabbitry.v1.delay.00", "rabbitry.v1.delay.02"].map(str::to_owned);
    assert_eq!(deaths(&retry[0]), BTreeSet::from(levels));
    assert_eq!(delay(&retry[0]), 5);
    assert_eq!(retry[0].routing_key.split_once(".queue.").unwrap().1, "audit.order");
    assert_eq!(retry[0].number("rabbitry-attempt"), Some(1));
    assert_eq!(retry[0].text("rabbitry-reason"), "error");
    assert_eq!(retry[0].text("rabbitry-original-routing-key"), "order");
    assert_eq!(retry[0].id(), "order-1");
    assert_eq!(retry[0].json(), json!(1));
    Books::settled(&broker, 0).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn jitter_spreads_what_failed_together() {
    const EVENTS: usize = 40;
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let runs = Record::default();
    let running = broker.start(failing("audit", policy(2, 3).jitter(1.0), &runs)).await;
    for i in 0..EVENTS {
        client.publish_bare("events", "order", &format!("order-{i}"), &json!(i)).await;
    }
    runs.wait_for(EVENTS).await;
    stop(running).await;
    let retries = client.receive("audit.order", EVENTS).await;
    let delays: BTreeSet<u64> = retries.iter().map(delay).collect();
    // From 3 s to twice as much. That 40 events share one of four delays happens less than once in 10^20 runs.
    assert!(delays.iter().all(|delay| (3..=6).contains(delay)), "{delays:?}");
    assert!(delays.len() > 1, "{delays:?}");
    let ids: BTreeSet<String> = retries.iter().map(Raw::id).collect();
    assert_eq!(ids.len(), EVENTS);
    Books::settled(&broker, 0).await.balance(EVENTS, EVENTS);
}

/// The ladder has the levels that its policies need; a handler that asks for more gets what it holds, and no error.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_later_than_the_ladder_holds_comes_earlier() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let runs = Record::default();
    let record = runs.clone();
    let subscription = Subscription::to("order").retry(policy(2, 2)).handler(move |_: AnyEvent, attempt: Attempt| {
        record.add((attempt.number, Instant::now()));
        async move {
            match attempt.is_last() {
                true => Ok(()),
                false => Err(HandlerError::retry_after("in a year", Duration::from_secs(365 * 24 * 3600))),
            }
        }
    });
    let running = broker.start(Service::new("audit").subscription(subscription)).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    let seen = runs.wait_for(2).await;
    assert_eq!((seen[0].0, seen[1].0), (1, 2));
    // The levels of 1 s and 2 s hold 3 s.
    assert!(seen[1].1 - seen[0].1 >= Duration::from_secs(3), "it came after {:?}", seen[1].1 - seen[0].1);
    stop(running).await;
    Books::settled(&broker, 0).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_comes_to_the_queue_that_failed_and_to_no_other() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let (billing, audit, all) = (Record::default(), Record::default(), Record::default());
    // The same handler, of the same event, in two services; and one that hears everything, whose queue's name ends alike.
    let service = |name: &str, seen: &Record<u32>| {
        let seen = seen.clone();
        Service::new(name).subscribe("order", move |_: AnyEvent, attempt: Attempt| {
            seen.add(attempt.number);
            async {}
        })
    };
    let record = all.clone();
    let hears_all = Subscription::to("#").name("billing.order").handler(move |event: AnyEvent| {
        record.add(event.name().to_owned());
        async {}
    });
    let failing = broker.start(failing("billing", policy(3, 1), &billing)).await;
    let other = broker.start(service("audit", &audit).subscription(hears_all)).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    client.receive("billing.order.dead", 1).await;
    // What comes after it to the others has been behind every retry.
    client.publish_bare("events", "order", "order-2", &json!(2)).await;
    client.receive("billing.order.dead", 1).await;
    stop(failing).await;
    stop(other).await;
    assert_eq!(billing.all(), [1, 2, 3, 1, 2, 3]);
    assert_eq!(audit.all(), [1, 1]);
    assert_eq!(all.all(), ["order", "order"]);
    Books::settled(&broker, 0).await.balance(6, 6);
}

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
    let subscription = Subscription::to("order").retry(policy(2, 1)).handler(handler);
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
