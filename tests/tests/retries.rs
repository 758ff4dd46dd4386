//! How retries are counted, how they wait, and where they come back to.

use std::{collections::BTreeSet, time::Duration};

use rabbitry::{
    AnyEvent, Attempt, HandlerError, RetryPolicy, Service, Subscription,
    testing::{self, Test},
    transport::{HeaderValue, Message},
};
use rabbitry_tests::{Books, LATE, Record, Stranger, id, integer, json as data, on_both, queues, stop, text, unit};
use serde_json::json;
use tokio::sync::watch;

fn policy(attempts: u32, first: Duration) -> RetryPolicy {
    RetryPolicy::default().attempts(attempts).immediate(0).first(first).max(first).factor(1.0).jitter(0.0)
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
fn deaths(message: &Message) -> BTreeSet<String> {
    let Some(HeaderValue::Array(deaths)) = message.properties.headers.get("x-death") else { return BTreeSet::new() };
    let queue = |death: &HeaderValue| match death {
        HeaderValue::Table(death) => match death.get("queue") {
            Some(HeaderValue::Text(queue)) => String::from_utf8(queue.clone()).ok(),
            _ => None,
        },
        _ => None,
    };
    deaths.iter().filter_map(queue).collect()
}

/// The delay that a message went through the ladder with.
fn delay(message: &Message) -> Duration {
    let bits = message.routing_key.split('.').take(28);
    Duration::from_secs(bits.fold(0, |seconds, bit| seconds << 1 | u64::from(bit == "1")))
}

/// The levels that hold a delay: those of its bits.
fn levels(delay: Duration) -> BTreeSet<String> {
    (0..28).filter(|k| delay.as_secs() >> k & 1 == 1).map(|k| format!("rabbitry.v1.delay.{k:02}")).collect()
}

/// That a handler's runs followed each other after these times.
fn assert_gaps(test: &Test, handler: &str, promised: &[Duration]) {
    let gaps = test.handled(handler).gaps();
    assert_eq!(gaps.len(), promised.len(), "{handler}: {gaps:?}");
    for (gap, promised) in gaps.iter().zip(promised) {
        assert!(gap >= promised && *gap < *promised + LATE, "{handler}: {gap:?}, not {promised:?}");
    }
}

on_both! {
async fn attempts_go_on_where_the_last_process_ended(place: Place) {
    let unit = unit(&place);
    let runs = Record::default();
    let mut test = testing::start_on(place, failing("audit", policy(4, unit), &runs)).await;
    let client = Stranger::on(&test.broker()).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    assert_eq!(test.until(runs.wait_for(2)).await, [1, 2]);
    stop(test.take(0)).await;
    assert_eq!(runs.all(), [1, 2]);
    test.start_another(failing("audit", policy(4, unit), &runs)).await;
    let dead = test.until(client.receive("audit.order.dead", 1)).await;
    assert_eq!(integer(&dead[0].message, "rabbitry-attempt"), Some(4));
    stop(test.take(0)).await;
    assert_eq!(runs.all(), [1, 2, 3, 4]);
    assert_gaps(&test, "order", &[unit; 3]);
    Books::settled_in(&test, 0).await.balance(1, 1);
    test.shutdown().await;
}

/// With nothing but immediate retries a service has no ladder, so they can only be in this process.
async fn immediate_retries_never_leave_the_process(place: Place) {
    let runs = Record::default();
    let immediate = RetryPolicy::default().attempts(5).immediate(4);
    let mut test = testing::start_on(place, failing("audit", immediate, &runs)).await;
    let client = Stranger::on(&test.broker()).await;
    assert!(queues(&test).await.iter().all(|queue| !queue.starts_with("rabbitry.v1.delay.")));
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    let dead = test.until(client.receive("audit.order.dead", 1)).await;
    assert_eq!(text(&dead[0].message, "rabbitry-reason"), "error");
    stop(test.take(0)).await;
    assert_eq!(runs.all(), [1, 2, 3, 4, 5]);
    assert_gaps(&test, "order", &[Duration::ZERO; 4]);
    Books::settled_in(&test, 0).await.balance(1, 1);
    test.shutdown().await;
}

async fn a_delay_waits_in_the_levels_that_its_bits_name(place: Place) {
    // 5 s are 4 s and 1 s, and pass the level of 2 s; 5 h are 5 of 15 levels.
    let five = unit(&place) * 5;
    let runs = Record::default();
    let mut test = testing::start_on(place, failing("audit", policy(2, five), &runs)).await;
    let client = Stranger::on(&test.broker()).await;
    let published = test.now();
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    runs.wait_for(1).await;
    // Now nobody but us receives the retry.
    stop(test.take(0)).await;
    let retry = test.until(client.receive("audit.order", 1)).await.remove(0).message;
    let took = test.now().duration_since(published).unwrap();
    assert!(took >= five && took < five + LATE, "it came after {took:?}");
    assert_eq!(deaths(&retry), levels(five));
    assert_eq!(delay(&retry), five);
    assert_eq!(retry.routing_key.split_once(".queue.").unwrap().1, "audit.order");
    assert_eq!(integer(&retry, "rabbitry-attempt"), Some(1));
    assert_eq!(text(&retry, "rabbitry-reason"), "error");
    assert_eq!(text(&retry, "rabbitry-original-routing-key"), "order");
    assert_eq!(id(&retry), "order-1");
    assert_eq!(data(&retry), json!(1));
    Books::settled_in(&test, 0).await.balance(1, 1);
    test.shutdown().await;
}

async fn jitter_spreads_what_failed_together(place: Place) {
    const EVENTS: usize = 40;
    let three = unit(&place) * 3;
    let runs = Record::default();
    let mut test = testing::start_on(place, failing("audit", policy(2, three).jitter(1.0), &runs)).await;
    let client = Stranger::on(&test.broker()).await;
    for i in 0..EVENTS {
        client.publish_bare("events", "order", &format!("order-{i}"), &json!(i)).await;
    }
    runs.wait_for(EVENTS).await;
    stop(test.take(0)).await;
    let retries = test.until(client.receive("audit.order", EVENTS)).await;
    let delays: BTreeSet<Duration> = retries.iter().map(|retry| delay(&retry.message)).collect();
    // From 3 s to twice as much, or hours. That 40 events share one of four delays happens less than once in 10^20 runs.
    assert!(delays.iter().all(|delay| (three..=three * 2).contains(delay)), "{delays:?}");
    assert!(delays.len() > 1, "{delays:?}");
    let ids: BTreeSet<String> = retries.iter().map(|retry| id(&retry.message)).collect();
    assert_eq!(ids.len(), EVENTS);
    Books::settled_in(&test, 0).await.balance(EVENTS, EVENTS);
    test.shutdown().await;
}

/// The ladder has the levels that its policies need; a handler that asks for more gets what it holds, and no error.
async fn a_retry_later_than_the_ladder_holds_comes_earlier(place: Place) {
    let two = unit(&place) * 2;
    let runs = Record::default();
    let record = runs.clone();
    let subscription = Subscription::to("order").retry(policy(2, two)).handler(move |_: AnyEvent, attempt: Attempt| {
        record.add(attempt.number);
        async move {
            match attempt.is_last() {
                true => Ok(()),
                false => Err(HandlerError::retry_after("in a year", Duration::from_secs(365 * 24 * 3600))),
            }
        }
    });
    let mut test = testing::start_on(place, Service::new("audit").subscription(subscription)).await;
    let client = Stranger::on(&test.broker()).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    assert_eq!(test.until(runs.wait_for(2)).await, [1, 2]);
    stop(test.take(0)).await;
    // The levels of 1 s and 2 s hold 3 s; those up to 4096 s, for 2 h, hold 8191 s.
    let holds = Duration::from_secs((two.as_secs() + 1).next_power_of_two() - 1);
    assert_gaps(&test, "order", &[holds]);
    Books::settled_in(&test, 0).await.balance(1, 1);
    test.shutdown().await;
}

async fn a_retry_comes_to_the_queue_that_failed_and_to_no_other(place: Place) {
    let unit = unit(&place);
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
    let services = [failing("billing", policy(3, unit), &billing), service("audit", &audit).subscription(hears_all)];
    let mut test = testing::start_on(place, services).await;
    let client = Stranger::on(&test.broker()).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    test.until(client.receive("billing.order.dead", 1)).await;
    // What comes after it to the others has been behind every retry.
    client.publish_bare("events", "order", "order-2", &json!(2)).await;
    test.until(client.receive("billing.order.dead", 1)).await;
    stop(test.take(0)).await;
    stop(test.take(0)).await;
    assert_eq!(billing.all(), [1, 2, 3, 1, 2, 3]);
    assert_eq!(audit.all(), [1, 1]);
    assert_eq!(all.all(), ["order", "order"]);
    // Between the two events' runs nothing has to wait.
    assert_gaps(&test, "billing.order", &[unit, unit, Duration::ZERO, unit, unit]);
    Books::settled_in(&test, 0).await.balance(6, 6);
    test.shutdown().await;
}

/// The broker delivers again what was in hand on a lost connection; the handler that fails on it then has lost no attempt.
async fn a_lost_connection_costs_no_attempt(place: Place) {
    let unit = unit(&place);
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
    let subscription = Subscription::to("order").retry(policy(2, unit)).handler(handler);
    let mut test = testing::start_on(place, Service::new("audit").subscription(subscription)).await;
    let client = Stranger::on(&test.broker()).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    runs.wait_for(1).await;
    test.cut_connections();
    assert_eq!(runs.wait_for(2).await, [(1, 2), (1, 2)]);
    release.send_replace(true);
    let dead = test.until(client.receive("audit.order.dead", 1)).await;
    assert_eq!(integer(&dead[0].message, "rabbitry-attempt"), Some(2));
    // One run that was lost with its connection, and the two of the policy.
    stop(test.take(0)).await;
    assert_eq!(runs.all(), [(1, 2), (1, 2), (2, 2)]);
    Books::settled_in(&test, 0).await.balance(1, 1);
    test.shutdown().await;
}
}
