//! Messages whose time is over, and what is built of them: delays.

use std::time::Duration;

use super::{
    Harness,
    checks::{assert_ids, id, message, numbered, numbers, to},
    dead_letters::{death, reason},
    plan::{KINDS, Plan, dead_letters_to, text},
    session::{Session, due},
};
use crate::{
    AnyEvent, RetryPolicy, Service, Subscription,
    topology::{
        Argument, ExchangeKind, QueueType,
        ladder::{Due, Ladder},
    },
    transport::{HeaderValue, Settlement},
};

const SECOND: Duration = Duration::from_secs(1);

/// Messages that have been in a queue for its `x-message-ttl` go on to the dead-letter exchange, in order, for the reason
/// `expired`; and not before.
pub async fn a_queues_ttl_hands_on(harness: &impl Harness) {
    for kind in KINDS {
        let (queue, next) = (format!("delay.{kind}"), format!("next.{kind}"));
        let mut arguments = dead_letters_to("", &next);
        arguments.push(("x-message-ttl", Argument::Integer(1000)));
        let session = Session::with(harness, Plan::new().classic(&next).queue(&queue, kind, &arguments)).await;
        let mut receiver = session.receiver(&next, 0).await;
        let published = harness.clock().now();
        session.publish(numbered(&queue, 0..20)).await;
        let mut seen = vec![due(harness, &mut receiver, published, SECOND).await];
        seen.extend(receiver.take(19).await);
        assert_ids("20 messages", &seen, numbers(0..20));
        assert!(seen.iter().all(|delivery| reason(delivery) == "expired"));
        session.close().await;
    }
}

/// Messages whose time is over are gone where there is no dead-letter exchange, and a consumer gets none of them.
pub async fn without_an_exchange_an_expired_message_is_gone(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("expiring.{kind}");
        let arguments = [("x-message-ttl", Argument::Integer(200))];
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &arguments)).await;
        session.publish(numbered(&queue, 0..5)).await;
        harness.pass(Duration::from_millis(400)).await;
        session.publish([to(&queue, "fresh")]).await;
        assert_ids("what is not too old", &session.take(&queue, 1).await, ["fresh"]);
        session.until_count(&queue, 0).await;
        session.close().await;
    }
}

/// A message that waits through two queues of a second each is there after two, and says both in `x-death`.
pub async fn two_levels_add_up(harness: &impl Harness) {
    let ttl = [("x-message-ttl", Argument::Integer(1000))];
    let plan = Plan::new().exchange("second", ExchangeKind::Topic).exchange("out", ExchangeKind::Topic);
    let plan = plan.queue("work", QueueType::Quorum, &[]).bind("out", "work", "work");
    let plan = plan.at_least_once("second", "out", "work", &ttl).bind("second", "second", "#");
    let session = Session::with(harness, plan.at_least_once("first", "second", "work", &ttl)).await;
    let mut receiver = session.receiver("work", 0).await;
    let published = harness.clock().now();
    session.publish(numbered("first", 0..10)).await;
    // Not in one step: a broker's time may jump, and the second level begins where the first one ends.
    harness.pass(SECOND).await;
    let mut seen = vec![due(harness, &mut receiver, published, 2 * SECOND).await];
    seen.extend(receiver.take(9).await);
    assert_ids("ten messages", &seen, numbers(0..10));
    let Some(HeaderValue::Array(deaths)) = seen[0].message.properties.headers.get("x-death") else {
        panic!("it has a list `x-death`")
    };
    assert_eq!(deaths.len(), 2, "one entry for each level");
    assert_eq!(death(&seen[0]).get("queue"), Some(&text("second")), "the last one comes first");
    session.close().await;
}

/// The shorter of a message's `expiration` and its queue's `x-message-ttl` counts, and the property is taken off a dead
/// letter and kept as `original-expiration`.
pub async fn the_shorter_time_counts(harness: &impl Harness) {
    for kind in KINDS {
        let (queue, next) = (format!("mixed.{kind}"), format!("mixed-next.{kind}"));
        let mut arguments = dead_letters_to("", &next);
        arguments.push(("x-message-ttl", Argument::Integer(1000)));
        let session = Session::with(harness, Plan::new().classic(&next).queue(&queue, kind, &arguments)).await;
        let mut receiver = session.receiver(&next, 0).await;
        let expiring = |id: &str, milliseconds: &str| {
            let mut message = to(&queue, id);
            message.properties.expiration = Some(milliseconds.into());
            message
        };
        let published = harness.clock().now();
        session.publish([expiring("short", "300"), expiring("long", "3600000")]).await;
        let short = due(harness, &mut receiver, published, Duration::from_millis(300)).await;
        assert_eq!((id(&short), short.message.properties.expiration.as_deref()), ("short", None));
        assert_eq!(death(&short).get("original-expiration"), Some(&text("300")));
        let long = due(harness, &mut receiver, published, SECOND).await;
        assert_eq!((id(&long), long.message.properties.expiration.as_deref()), ("long", None));
        session.close().await;
    }
}

/// A message expires only at the head of its queue: a short time behind a long one waits for it.
pub async fn a_message_expires_at_the_head_only(harness: &impl Harness) {
    let plan = Plan::new().classic("released").queue("line", QueueType::Quorum, &dead_letters_to("", "released"));
    let session = Session::with(harness, plan).await;
    let mut receiver = session.receiver("released", 0).await;
    let messages = [("long", "1000"), ("short", "100")].map(|(id, milliseconds)| {
        let mut message = to("line", id);
        message.properties.expiration = Some(milliseconds.into());
        message
    });
    let published = harness.clock().now();
    session.publish(messages).await;
    let long = due(harness, &mut receiver, published, SECOND).await;
    assert_eq!((id(&long), id(&receiver.next().await)), ("long", "short"));
    session.close().await;
}

/// A message that expired its way back into a queue, without being rejected anywhere, is dropped there; one that was
/// rejected on its way goes round.
pub async fn a_cycle_of_expiries_ends(harness: &impl Harness) {
    let ttl = ("x-message-ttl", Argument::Integer(200));
    let plan = Plan::new().exchange("back", ExchangeKind::Fanout).classic("witness").bind("back", "witness", "");
    let there = [dead_letters_to("", "there"), vec![ttl.clone()]].concat();
    let back = vec![("x-dead-letter-exchange", Argument::from("back")), ttl];
    let plan = plan.queue("here", QueueType::Quorum, &there).queue("there", QueueType::Quorum, &back);
    let plan = plan.bind("back", "here", "").queue("retried", QueueType::Quorum, &dead_letters_to("", "there"));
    let session = Session::with(harness, plan.bind("back", "retried", "")).await;
    session.publish([to("here", "round")]).await;
    harness.pass(Duration::from_millis(250)).await;
    harness.pass(Duration::from_millis(250)).await;
    // It came to the exchange that leads back, and so it is in neither queue of the cycle.
    assert_ids("the witness", &session.take("witness", 1).await, ["round"]);
    harness.pass(Duration::from_millis(500)).await;
    assert_eq!((session.count("here").await, session.count("there").await), (0, 0), "it does not go round again");
    // The third queue's rejection takes it round.
    let mut receiver = session.receiver("retried", 1).await;
    for _ in 0..2 {
        let delivery = receiver.next().await;
        assert_eq!(id(&delivery), "round");
        receiver.settle([Settlement::Reject(delivery.tag)]).await;
        harness.pass(Duration::from_millis(250)).await;
    }
    assert_eq!(id(&receiver.next().await), "round");
    session.close().await;
}

/// rabbitry's own delay ladder holds every message for its delay in whole seconds and then brings it to its queue, and
/// what is for a queue that is not there to where it can be found.
pub async fn the_delay_ladder_is_on_time(harness: &impl Harness) {
    let policy = RetryPolicy::default().attempts(4).immediate(0).first(SECOND).factor(2.0).jitter(0.0);
    let retried = Subscription::to("order").name("ship").retry(policy).handler(|_: AnyEvent| async {});
    let service = Service::new("shop").subscription(retried);
    let topology = service.topology().expect("the service can be built");
    let ladder = Ladder { prefix: "rabbitry.v1.delay".to_owned(), levels: 3 };
    let queue = topology.queues.last().expect("the work queue comes last").name.clone();
    let session = Session::with(harness, topology).await;
    let mut receiver = session.receiver(&queue, 0).await;
    let delayed = |seconds: u64, queue: &str| {
        let entry = ladder.entry(Duration::from_secs(seconds), Due::Queue(queue));
        let (exchange, key) = entry.expect("the ladder has three levels");
        message(&exchange, &key, seconds.to_string())
    };
    let published = harness.clock().now();
    let messages: Vec<_> = (0..=5).rev().map(|seconds| delayed(seconds, &queue)).collect();
    session.publish(messages).await;
    session.publish([delayed(1, "gone")]).await;
    for seconds in 0..=5 {
        let delivery = due(harness, &mut receiver, published, Duration::from_secs(seconds)).await;
        assert_eq!(id(&delivery), seconds.to_string(), "they come in the order of their delays");
    }
    assert_ids("what has no queue", &session.take("rabbitry.v1.undeliverable", 1).await, ["1"]);
    session.close().await;
}

/// Delays of many messages through one level neither lose nor repeat one, nor change their order.
pub async fn a_level_hands_on_many_in_order(harness: &impl Harness) {
    let ttl = [("x-message-ttl", Argument::Integer(500))];
    let plan = Plan::new().exchange("out", ExchangeKind::Direct).queue("work", QueueType::Quorum, &[]);
    let plan = plan.bind("out", "work", "work").at_least_once("delay", "out", "work", &ttl);
    let session = Session::with(harness, plan).await;
    let mut receiver = session.receiver("work", 0).await;
    let mut sender = session.sender().await;
    for batch in 0..4 {
        sender.publish(&numbered("delay", batch * 500..(batch + 1) * 500)).await;
    }
    harness.pass(Duration::from_millis(600)).await;
    let seen = receiver.take(2000).await;
    assert_ids("2,000 messages", &seen, numbers(0..2000));
    receiver.expect_nothing("all have come").await;
    session.close().await;
}
