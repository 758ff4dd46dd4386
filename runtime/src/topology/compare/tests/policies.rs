use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{compared, having, one, policy, stock};
use crate::topology::{QueueType, Topology, compare::listing::ListedQueue};

/// What a policy does to each queue of a plan, in the plan's order; empty where it does nothing.
fn effects(plan: &Topology, sets: &[(&str, Value)]) -> String {
    let mut broker = having(plan);
    for queue in broker.queues.values_mut() {
        queue.policies = sets.iter().map(|(key, value)| policy("limits", false, key, value.clone())).collect();
    }
    let comparison = compared(plan, &broker);
    let told = comparison.differences.iter().map(|difference| {
        let text = difference.to_string().replace(": policy `limits` sets", ":");
        format!("{}{text}\n", if difference.breaks() { "! " } else { "" })
    });
    told.collect()
}

#[track_caller]
fn check(sets: &[(&str, Value)], expected: &Expect) {
    expected.assert_eq(&effects(&one(), sets));
}

#[test]
fn a_length() {
    check(
        &[("max-length", json!(1000))],
        &expect![[r#"
            ! queue `rabbitry.v1.undeliverable`: max-length to `1000`: at 1000 messages the oldest are dropped
            ! queue `stock.order.dead`: max-length to `1000`: at 1000 messages the oldest are dropped
            queue `rabbitry.v1.delay.00`: max-length to `1000`: at 1000 messages it takes no more retries and scheduled events, and 32 of them stop the level above it
            queue `stock.order`: max-length to `1000`: at 1000 messages RabbitMQ refuses more: whoever publishes one of its events gets a nack, though other subscribers may have it, and 32 retries for it stop a level of the delay ladder for all who share it
        "#]],
    );
    check(
        &[("max-length-bytes", json!(1000)), ("overflow", json!("reject-publish"))],
        &expect![[r#"
            queue `rabbitry.v1.undeliverable`: max-length-bytes to `1000`: at 1000 bytes it takes no more, and what should go there stays where it failed
            queue `rabbitry.v1.delay.00`: max-length-bytes to `1000`: at 1000 bytes it takes no more retries and scheduled events, and 32 of them stop the level above it
            queue `stock.order.dead`: max-length-bytes to `1000`: at 1000 bytes it takes no more, and what should go there stays where it failed
            queue `stock.order`: max-length-bytes to `1000`: at 1000 bytes RabbitMQ refuses more: whoever publishes one of its events gets a nack, though other subscribers may have it, and 32 retries for it stop a level of the delay ladder for all who share it
        "#]],
    );
}

#[test]
fn a_length_with_another_overflow() {
    check(
        &[("max-length", json!(1000)), ("overflow", json!("drop-head"))],
        &expect![[r#"
            ! queue `rabbitry.v1.undeliverable`: max-length to `1000`: at 1000 messages the oldest are dropped
            ! queue `rabbitry.v1.delay.00`: overflow to `drop-head`: it wins over the queue's own reject-publish, and without that RabbitMQ moves dead letters and retries on at most once: they can be lost
            ! queue `stock.order.dead`: max-length to `1000`: at 1000 messages the oldest are dropped
            ! queue `stock.order`: overflow to `drop-head`: it wins over the queue's own reject-publish, and without that RabbitMQ moves dead letters and retries on at most once: they can be lost
            queue `rabbitry.v1.delay.00`: max-length to `1000`: at 1000 messages the oldest leave it too early
            queue `stock.order`: max-length to `1000`: at 1000 messages its oldest events go to the dead letters unhandled
        "#]],
    );
}

#[test]
fn a_time_to_live() {
    check(
        &[("message-ttl", json!(500))],
        &expect![[r#"
        ! queue `rabbitry.v1.undeliverable`: message-ttl to `500`: what has been there for 500 ms is dropped
        ! queue `stock.order.dead`: message-ttl to `500`: what has been there for 500 ms is dropped
        queue `rabbitry.v1.delay.00`: message-ttl to `500`: retries and scheduled events leave it after 500 ms, too early
        queue `stock.order`: message-ttl to `500`: an event that has waited for 500 ms goes to the dead letters unhandled
    "#]],
    );
    // A level's own is shorter.
    check(
        &[("message-ttl", json!(60_000))],
        &expect![[r#"
        ! queue `rabbitry.v1.undeliverable`: message-ttl to `60000`: what has been there for 60000 ms is dropped
        ! queue `stock.order.dead`: message-ttl to `60000`: what has been there for 60000 ms is dropped
        queue `stock.order`: message-ttl to `60000`: an event that has waited for 60000 ms goes to the dead letters unhandled
    "#]],
    );
}

#[test]
fn an_expiry() {
    check(
        &[("expires", json!(60_000))],
        &expect![[r#"
        ! queue `rabbitry.v1.undeliverable`: expires to `60000`: RabbitMQ deletes it, with what is in it, when nothing consumes it for 60000 ms
        ! queue `rabbitry.v1.delay.00`: expires to `60000`: RabbitMQ deletes it, with what is in it, when nothing consumes it for 60000 ms
        ! queue `rabbitry.v1.delay.unwanted`: expires to `60000`: RabbitMQ deletes it, with what is in it, when nothing consumes it for 60000 ms
        ! queue `stock.order.dead`: expires to `60000`: RabbitMQ deletes it, with what is in it, when nothing consumes it for 60000 ms
        ! queue `stock.order`: expires to `60000`: RabbitMQ deletes it, with what is in it, when nothing consumes it for 60000 ms
    "#]],
    );
}

#[test]
fn a_delivery_limit() {
    check(
        &[("delivery-limit", json!(3))],
        &expect![[r#"
        ! queue `rabbitry.v1.undeliverable`: delivery-limit to `3`: what somebody looks at and puts back more than 3 times is dropped
        ! queue `stock.order.dead`: delivery-limit to `3`: what somebody looks at and puts back more than 3 times is dropped
        queue `stock.order`: delivery-limit to `3`: an event that comes back more than 3 times goes to the dead letters; deploys send back, too
    "#]],
    );
    check(
        &[("delivery-limit", json!(50))],
        &expect![[r#"
        ! queue `rabbitry.v1.undeliverable`: delivery-limit to `50`: what somebody looks at and puts back more than 50 times is dropped
        ! queue `stock.order.dead`: delivery-limit to `50`: what somebody looks at and puts back more than 50 times is dropped
    "#]],
    );
    check(
        &[("delivery-limit", json!(-1))],
        &expect![[r#"
            ! queue `rabbitry.v1.undeliverable`: delivery-limit to `-1`: what somebody looks at and puts back once, on RabbitMQ before 4.0, is dropped
            ! queue `stock.order.dead`: delivery-limit to `-1`: what somebody looks at and puts back once, on RabbitMQ before 4.0, is dropped
            queue `stock.order`: delivery-limit to `-1`: an event that comes back once, on RabbitMQ before 4.0, goes to the dead letters; deploys send back, too
        "#]],
    );
}

#[test]
fn dead_lettering() {
    check(
        &[
            ("dead-letter-exchange", json!("theirs")),
            ("dead-letter-routing-key", json!("theirs")),
            ("dead-letter-strategy", json!("at-most-once")),
        ],
        &expect![[r#"
            ! queue `rabbitry.v1.delay.00`: dead-letter-routing-key to `theirs`: it replaces the routing key, which says for how long and for whom a message waits: retries and scheduled events go astray
            queue `rabbitry.v1.undeliverable`: dead-letter-exchange to `theirs`: what expires or is rejected there leaves it for that exchange
            queue `stock.order.dead`: dead-letter-exchange to `theirs`: what expires or is rejected there leaves it for that exchange
        "#]],
    );
}

#[test]
fn a_consumer_timeout() {
    // The handler may run for a minute.
    check(
        &[("consumer-timeout", json!(60_000))],
        &expect![[r#"
        queue `stock.order`: consumer-timeout to `60000`: RabbitMQ closes the channel of a handler that takes 1m, and sends all its events again, but this one may take 1m
    "#]],
    );
    check(&[("consumer-timeout", json!(60_001))], &expect![[r#""#]]);
}

#[test]
fn what_changes_no_promise_is_not_said() {
    let harmless = [
        ("queue-leader-locator", json!("balanced")),
        ("max-in-memory-length", json!(1)),
        ("queue-mode", json!("lazy")),
        ("federation-upstream-set", json!("all")),
        ("some-plugin", json!({ "a": [1] })),
        // Of a kind that it cannot have.
        ("max-length", json!("many")),
    ];
    check(&harmless, &expect![[r#""#]]);
}

#[test]
fn queues_of_other_types() {
    let plan = stock(&[("stock.order", QueueType::Classic), ("stock.existing", QueueType::Existing)]);
    let about = |sets: &[(&str, Value)]| -> String {
        let effects = effects(&plan, sets);
        let of_handlers = |line: &&str| line.contains("`stock.order`") || line.contains("`stock.existing`");
        effects.lines().filter(of_handlers).map(|line| format!("{line}\n")).collect()
    };
    expect![[r#"
        ! queue `stock.existing`: max-length to `10`: at 10 messages its oldest events are dropped
        ! queue `stock.existing`: message-ttl to `5`: what has been there for 5 ms is dropped
        queue `stock.order`: max-length to `10`: at 10 messages its oldest events go to the dead letters unhandled
        queue `stock.order`: message-ttl to `5`: an event that has waited for 5 ms goes to the dead letters unhandled
    "#]]
    .assert_eq(&about(&[
        ("max-length", json!(10)),
        ("message-ttl", json!(5)),
        ("delivery-limit", json!(5)),
        ("overflow", json!("drop-head")),
    ]));
    // On a classic queue too, where the queue says nothing itself.
    expect![[r#"
        queue `stock.order`: max-length to `10`: at 10 messages RabbitMQ refuses more: whoever publishes one of its events gets a nack, though other subscribers may have it, and 32 retries for it stop a level of the delay ladder for all who share it
        queue `stock.existing`: max-length to `10`: at 10 messages RabbitMQ refuses more: whoever publishes one of its events gets a nack, though other subscribers may have it, and 32 retries for it stop a level of the delay ladder for all who share it
    "#]].assert_eq(&about(&[("max-length", json!(10)), ("overflow", json!("reject-publish"))]));
}

#[test]
fn a_policy_of_exchanges() {
    let plan = one();
    let mut broker = having(&plan);
    for exchange in broker.exchanges.values_mut() {
        exchange.policies = vec![
            policy("ae", false, "alternate-exchange", "lost"),
            policy("ae", false, "federation-upstream-set", "all"),
        ];
    }
    expect![[r#"
        exchange `events`: policy `ae` sets alternate-exchange to `lost`: an event that no queue is bound for goes there, and is neither counted as unrouted nor an error
          → take `alternate-exchange` out of policy `ae`, or have its pattern leave exchange `events` out
        exchange `legacy`: policy `ae` sets alternate-exchange to `lost`: an event that no queue is bound for goes there, and is neither counted as unrouted nor an error
          → take `alternate-exchange` out of policy `ae`, or have its pattern leave exchange `legacy` out
    "#]].assert_eq(&compared(&plan, &broker).to_string());
}

#[test]
fn a_queue_is_full_when_it_refuses() {
    let queue = |messages, arguments: Value, sets: &[(&str, Value)]| ListedQueue {
        kind: "quorum".to_owned(),
        messages,
        bytes: messages.map(|messages| messages * 10),
        arguments: serde_json::from_value(arguments).unwrap(),
        policies: sets.iter().map(|(key, value)| policy("limits", true, key, value.clone())).collect(),
        ..ListedQueue::default()
    };
    let refusing = json!({ "x-overflow": "reject-publish" });
    let ten = ("max-length", json!(10));
    assert!(!queue(Some(9), refusing.clone(), &[ten.clone()]).is_full());
    assert!(queue(Some(10), refusing.clone(), &[ten.clone()]).is_full());
    assert!(queue(Some(10), refusing.clone(), &[("max-length-bytes", json!(100))]).is_full());
    assert!(!queue(Some(9), refusing.clone(), &[("max-length-bytes", json!(100))]).is_full());
    assert!(queue(Some(5), json!({ "x-overflow": "reject-publish", "x-max-length": 5 }), &[ten.clone()]).is_full());
    assert!(!queue(None, refusing.clone(), &[ten.clone()]).is_full());
    assert!(!queue(Some(99), refusing.clone(), &[]).is_full());
    // It drops instead.
    assert!(!queue(Some(10), json!({}), &[ten.clone()]).is_full());
    assert!(!queue(Some(10), refusing, &[ten, ("overflow", json!("drop-head"))]).is_full());
}

/// A handler without a deadline that is known, as of a broadcast.
#[test]
fn a_deadline_that_is_not_known_is_not_judged() {
    let plan = stock(&[("stock.other", QueueType::Quorum)]);
    assert_eq!(effects(&plan, &[("consumer-timeout", json!(1))]), "");
}
