//! What a queue gives up goes to its dead-letter exchange and says where it was, or is gone.

use super::{
    Harness,
    checks::{assert_ids, id, message, numbered, numbers, to},
    plan::{KINDS, Plan, dead_letters_to, text},
    session::Session,
    settling::delivery_count,
};
use crate::{
    topology::{Argument, ExchangeKind, QueueType},
    transport::{Delivery, HeaderValue, Headers, Settlement},
};

/// The first entry of `x-death`.
pub(super) fn death(delivery: &Delivery) -> &Headers {
    match delivery.message.properties.headers.get("x-death") {
        Some(HeaderValue::Array(deaths)) => match deaths.first() {
            Some(HeaderValue::Table(death)) => death,
            other => panic!("the first entry of `x-death` is a table, but it is {other:?}"),
        },
        other => panic!("`{}` has a list `x-death`, but it is {other:?}", id(delivery)),
    }
}

pub(super) fn reason(delivery: &Delivery) -> &str {
    death(delivery).get("reason").and_then(HeaderValue::as_text).unwrap_or("no reason")
}

/// A rejected message goes to the dead-letter exchange with its routing key, unchanged but for the headers `x-death`
/// (count, reason, queue, exchange, routing keys and time) and `x-first-death-…`; with `x-last-death-…`, too, by
/// [`last_death_headers`](super::Capabilities::last_death_headers).
pub async fn a_rejected_message_is_dead_lettered(harness: &impl Harness) {
    for kind in KINDS {
        let (queue, dead) = (format!("work.{kind}"), format!("dead.{kind}"));
        let plan = Plan::new().exchange("events", ExchangeKind::Topic).exchange("dead", ExchangeKind::Topic);
        let arguments = [("x-dead-letter-exchange", Argument::from("dead"))];
        let plan = plan.classic(&dead).bind("dead", &dead, "#").queue(&queue, kind, &arguments);
        let session = Session::with(harness, plan.bind("events", &queue, "order.*")).await;
        let mut sent = message("events", "order.created", "rejected");
        sent.properties.headers.insert("tenant".to_owned(), text("north"));
        session.publish([sent.clone()]).await;
        let mut receiver = session.receiver(&queue, 1).await;
        receiver.next().await;
        receiver.settle([Settlement::Reject(1)]).await;
        let dead = session.take(&dead, 1).await.remove(0);
        assert_eq!((dead.message.exchange.as_str(), dead.message.routing_key.as_str()), ("dead", "order.created"));
        assert!(dead.message.body == sent.body, "the body is unchanged");
        let mut death = death(&dead).clone();
        let time = death.remove("time");
        assert!(matches!(time, Some(HeaderValue::Timestamp(_))), "the death has a time, but it is {time:?}");
        let expected = [
            ("count", HeaderValue::I64(1)),
            ("reason", text("rejected")),
            ("queue", text(&queue)),
            ("exchange", text("events")),
            ("routing-keys", HeaderValue::Array(vec![text("order.created")])),
        ];
        assert_eq!(death, expected.map(|(name, value)| (name.to_owned(), value)).into(), "the entry of `x-death`");
        let mut headers = dead.message.properties.headers.clone();
        headers.remove("x-death");
        headers.remove("x-delivery-count");
        let mut expected = Headers::from([("tenant".to_owned(), text("north"))]);
        let which = if harness.capabilities().last_death_headers { &["first", "last"][..] } else { &["first"] };
        for which in which {
            for (what, value) in [("exchange", "events"), ("queue", queue.as_str()), ("reason", "rejected")] {
                expected.insert(format!("x-{which}-death-{what}"), text(value));
            }
        }
        assert_eq!(headers, expected, "the other headers of a dead letter of a {kind} queue");
        session.close().await;
    }
}

/// A queue's `x-dead-letter-routing-key` takes the place of the message's own.
pub async fn a_queue_may_name_the_key_of_its_dead_letters(harness: &impl Harness) {
    for kind in KINDS {
        let (queue, dead) = (format!("rekeyed.{kind}"), format!("rekeyed.dead.{kind}"));
        let plan =
            Plan::new().exchange("parking", ExchangeKind::Direct).classic(&dead).bind("parking", &dead, "parked");
        let session = Session::with(harness, plan.queue(&queue, kind, &dead_letters_to("parking", "parked"))).await;
        session.publish([to(&queue, "rejected")]).await;
        let mut receiver = session.receiver(&queue, 1).await;
        receiver.next().await;
        receiver.settle([Settlement::Reject(1)]).await;
        let dead = session.take(&dead, 1).await.remove(0);
        assert_eq!(dead.message.routing_key, "parked");
        let keys = death(&dead).get("routing-keys");
        assert_eq!(keys, Some(&HeaderValue::Array(vec![text(&queue)])), "`x-death` has the message's own");
        session.close().await;
    }
}

/// A rejected message is gone where the queue has no dead-letter exchange.
pub async fn without_an_exchange_a_rejected_message_is_gone(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("dropping.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..3)).await;
        let mut receiver = session.receiver(&queue, 0).await;
        receiver.take(3).await;
        receiver.settle([Settlement::Reject(1), Settlement::Reject(3)]).await;
        receiver.finish().await;
        assert_ids("what is left", &session.drain(&queue).await, ["1"]);
        session.close().await;
    }
}

/// A quorum queue with a limit of two returns delivers a message three times and then dead-letters it for the reason
/// `delivery_limit`, whether it was requeued or its channel closed; without a dead-letter exchange it is gone.
pub async fn the_delivery_limit_ends_returns(harness: &impl Harness) {
    let limit = ("x-delivery-limit", Argument::Integer(2));
    let limited = [dead_letters_to("", "given-up"), vec![limit.clone()]].concat();
    let plan = Plan::new().classic("given-up").queue("limited", QueueType::Quorum, &limited);
    let session = Session::with(harness, plan.queue("dropping", QueueType::Quorum, &[limit])).await;
    for queue in ["limited", "dropping"] {
        session.publish(numbered(queue, 0..2)).await;
        let mut receiver = session.receiver(queue, 1).await;
        for _ in 0..2 {
            let delivery = receiver.next().await;
            assert_eq!(id(&delivery), "0", "it stays at the head");
            receiver.settle([Settlement::Requeue(delivery.tag)]).await;
        }
        assert_eq!(id(&receiver.next().await), "0", "the third delivery");
        receiver.close().await;
        assert_ids("only the other one is left", &session.drain(queue).await, ["1"]);
    }
    let dead = session.drain("given-up").await;
    assert_ids("the dead letters", &dead, ["0"]);
    assert_eq!(reason(&dead[0]), "delivery_limit");
    session.close().await;
}

/// At-least-once dead-lettering hands on each of many messages, each once and in order; whether a quorum queue shows them
/// as delivered before is [`dead_letters_look_redelivered`](super::Capabilities::dead_letters_look_redelivered).
pub async fn at_least_once_dead_letters_all(harness: &impl Harness) {
    let plan = Plan::new().exchange("dead", ExchangeKind::Direct).queue("dead", QueueType::Quorum, &[]);
    let plan = plan.bind("dead", "dead", "dead").at_least_once("work", "dead", "dead", &[]);
    let session = Session::with(harness, plan).await;
    session.publish(numbered("work", 0..300)).await;
    let mut receiver = session.receiver("work", 0).await;
    receiver.take(300).await;
    receiver.settle((1..=300).map(Settlement::Reject)).await;
    receiver.finish().await;
    let dead = session.take("dead", 300).await;
    assert_ids("300 dead letters", &dead, numbers(0..300));
    let look_redelivered = harness.capabilities().dead_letters_look_redelivered;
    assert_eq!(dead.iter().filter(|dead| dead.redelivered).count(), if look_redelivered { 300 } else { 0 });
    assert!(dead.iter().all(|dead| reason(dead) == "rejected"));
    assert_eq!((session.count("work").await, session.count("dead").await), (0, 0), "nothing is left behind");
    session.close().await;
}

/// What a quorum queue dead-lettered to another comes from there with the number of its failures, a lost channel and the
/// rejection here, but not its return, where [`dead_letters_look_redelivered`](super::Capabilities::dead_letters_look_redelivered);
/// else with none.
pub async fn a_dead_letter_tells_how_often_it_failed(harness: &impl Harness) {
    let plan = Plan::new().exchange("dead", ExchangeKind::Direct).queue("dead", QueueType::Quorum, &[]);
    let plan = plan.bind("dead", "dead", "dead").at_least_once("work", "dead", "dead", &[]);
    let session = Session::with(harness, plan).await;
    session.publish(numbered("work", 0..1)).await;
    let mut receiver = session.receiver("work", 1).await;
    receiver.next().await;
    receiver.settle([Settlement::Requeue(1)]).await;
    receiver.next().await;
    receiver.close().await;
    let mut receiver = session.receiver("work", 1).await;
    receiver.next().await;
    receiver.settle([Settlement::Reject(1)]).await;
    receiver.finish().await;
    let dead = session.take("dead", 1).await.remove(0);
    let expected = harness.capabilities().dead_letters_look_redelivered.then_some(2);
    assert_eq!(delivery_count(&dead), expected, "the failures of a dead letter");
    session.close().await;
}

/// At-least-once dead-lettering to an exchange that routes the message nowhere takes its alternate exchange, and holds up
/// nobody.
pub async fn orphans_go_to_the_alternate_exchange(harness: &impl Harness) {
    let alternate = [("alternate-exchange", Argument::from("orphans"))];
    let plan = Plan::new().exchange("orphans", ExchangeKind::Fanout).classic("orphans").bind("orphans", "orphans", "");
    let plan = plan.exchange_with("handing-on", ExchangeKind::Direct, &alternate).classic("wanted");
    let plan = plan.bind("handing-on", "wanted", "wanted").exchange("in", ExchangeKind::Fanout);
    let strategy = [
        ("x-dead-letter-exchange", Argument::from("handing-on")),
        ("x-dead-letter-strategy", Argument::from("at-least-once")),
        ("x-overflow", Argument::from("reject-publish")),
        ("x-message-ttl", Argument::Integer(100)),
    ];
    let session =
        Session::with(harness, plan.queue("delay", QueueType::Quorum, &strategy).bind("in", "delay", "")).await;
    // More than the 32 that RabbitMQ has on their way at once.
    session.publish((0..50).map(|number| message("in", "nobody", number.to_string()))).await;
    session.publish([message("in", "wanted", "wanted")]).await;
    harness.pass(std::time::Duration::from_millis(200)).await;
    assert_ids("the one that is wanted", &session.take("wanted", 1).await, ["wanted"]);
    assert_ids("the orphans", &session.take("orphans", 50).await, numbers(0..50));
    session.close().await;
}
