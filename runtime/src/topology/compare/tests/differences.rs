use expect_test::{Expect, expect};
use serde_json::json;

use super::{binding, compared, having, one, policy, stock};
use crate::topology::{
    Destination, Difference, QueueType, Topology,
    compare::listing::{ListedBinding, ListedQueue, Listing},
};

#[track_caller]
fn check(plan: &Topology, broker: &Listing, expected: &Expect) {
    expected.assert_eq(&compared(plan, broker).to_string());
}

#[test]
fn a_broker_that_has_the_plan_does_not_differ() {
    let kinds =
        [("stock.order", QueueType::Quorum), ("stock.old", QueueType::Classic), ("billing.in", QueueType::Existing)];
    for plan in [one(), stock(&kinds), stock(&[])] {
        let comparison = compared(&plan, &having(&plan));
        assert!(comparison.is_equal() && comparison.unchecked.is_empty(), "{comparison}");
        assert_eq!(comparison.to_string(), "no differences\n");
    }
}

#[test]
fn what_is_missing() {
    let plan = one();
    let mut broker = having(&plan);
    broker.exchanges.remove("legacy");
    broker.exchanges.remove("rabbitry.v1.delay.00");
    broker.queues.remove("stock.order.dead");
    broker.bindings.retain(|binding| binding.source != "events");
    check(
        &plan,
        &broker,
        &expect![[r#"
        exchange `legacy` is missing
          → create it: `Service::declare`, or start with TopologyMode::Declare
        exchange `rabbitry.v1.delay.00` is missing
          → create it: `Service::declare`, or start with TopologyMode::Declare
        queue `stock.order.dead` is missing
          → create it: `Service::declare`, or start with TopologyMode::Declare
        binding of queue `stock.order` to exchange `events` by `order` is missing
          → create it: `Service::declare`, or start with TopologyMode::Declare
    "#]],
    );
    // Nothing at all: what is missing has no bindings, and that is not said once more.
    let comparison = compared(&plan, &Listing::default());
    assert_eq!(comparison.differences.len(), plan.exchanges.len() + plan.queues.len());
    assert_eq!(comparison.breaking().count(), comparison.differences.len());
}

#[test]
fn what_is_unequal() {
    let plan = one();
    let mut broker = having(&plan);
    let exchange = broker.exchanges.get_mut("rabbitry.v1.dead").unwrap();
    exchange.kind = "fanout".to_owned();
    exchange.arguments.remove("alternate-exchange");
    exchange.internal = true;
    let queue = broker.queues.get_mut("stock.order").unwrap();
    queue.arguments.insert("x-delivery-limit".to_owned(), json!(3));
    queue.arguments.remove("x-overflow");
    queue.arguments.insert("x-max-length".to_owned(), json!(1000));
    queue.arguments.insert("x-queue-leader-locator".to_owned(), json!("balanced"));
    let dead = broker.queues.get_mut("stock.order.dead").unwrap();
    *dead = ListedQueue { kind: "classic".to_owned(), auto_delete: true, exclusive: true, ..ListedQueue::default() };
    check(
        &plan,
        &broker,
        &expect![[r#"
            exchange `rabbitry.v1.dead`: type is `fanout`, the plan has `direct`
              → the exchange cannot be changed: give the plan another exchange, or delete this one when nothing publishes to it, and declare
            exchange `rabbitry.v1.dead`: internal is `true`, the plan has `false`
              → the exchange cannot be changed: give the plan another exchange, or delete this one when nothing publishes to it, and declare
            exchange `rabbitry.v1.dead`: alternate-exchange is not set, the plan has `rabbitry.v1.undeliverable`
              → the exchange cannot be changed: give the plan another exchange, or delete this one when nothing publishes to it, and declare
            queue `stock.order.dead`: type is `classic`, the plan has `quorum`
              → a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare
            queue `stock.order.dead`: durable is `false`, the plan has `true`
              → a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare
            queue `stock.order.dead`: auto_delete is `true`, the plan has `false`
              → a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare
            queue `stock.order.dead`: exclusive is `true`, the plan has `false`
              → a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare
            queue `stock.order.dead`: x-delivery-limit is not set, the plan has `2147483647`
              → a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare
            queue `stock.order`: x-delivery-limit is `3`, the plan has `20`
              → a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare
            queue `stock.order`: x-overflow is not set, the plan has `reject-publish`
              → a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare
            queue `stock.order`: x-max-length is `1000`, the plan does not set it
              → a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare
            queue `stock.order`: x-queue-leader-locator is `balanced`, the plan does not set it
              → it changes no promise and may stay, but where RabbitMQ compares it, it refuses the plan to TopologyMode::Declare: then use Verify
        "#]],
    );
    // An argument beside ours that only says where the queue's leader is breaks nothing.
    let comparison = compared(&plan, &broker);
    let harmless: Vec<&Difference> = comparison.differences.iter().filter(|difference| !difference.breaks()).collect();
    assert!(
        matches!(harmless[..], [Difference::Unequal { field, .. }] if field == "x-queue-leader-locator"),
        "{harmless:?}"
    );
}

#[test]
fn what_a_renamed_subscription_or_handler_left() {
    let plan = one();
    let mut broker = having(&plan);
    broker.bindings.push(binding("events", "stock.order", "order_created"));
    let by_header = ListedBinding {
        arguments: serde_json::from_value(json!({ "x-match": "any", "kind": "order", "n": 3, "urgent": true }))
            .unwrap(),
        ..binding("by-header", "stock.order", "")
    };
    broker.bindings.push(by_header);
    broker.bindings.push(binding("old.delay.out", "stock.order", &format!("{}queue.stock.order", "*.".repeat(28))));
    let with_float = ListedBinding {
        arguments: serde_json::from_value(json!({ "price": 0.5 })).unwrap(),
        ..binding("by-header", "stock.order", "float")
    };
    broker.bindings.push(with_float);
    let waiting = |messages, consumers| ListedQueue { messages, consumers, ..ListedQueue::default() };
    broker.queues.insert("stock.reserve".to_owned(), waiting(Some(12), 0));
    broker.queues.insert("stock.reserve.dead".to_owned(), waiting(None, 0));
    broker.queues.insert("stock.other".to_owned(), waiting(Some(0), 2));
    broker.queues.insert("stock.own".to_owned(), ListedQueue { exclusive: true, ..ListedQueue::default() });
    broker.bindings.push(binding("", "stock.reserve", "stock.reserve"));
    broker.bindings.push(binding("events", "stock.reserve", "order"));
    broker.bindings.push(binding("rabbitry.v1.dead", "stock.reserve.dead", "stock.reserve"));
    check(
        &plan,
        &broker,
        &expect![[r#"
        binding of queue `stock.order` to exchange `events` by `order_created` is not in the plan
          → remove it, or the handler goes on getting events that it does not subscribe to
        binding of queue `stock.order` to exchange `by-header` by `` kind=order n=3 urgent=true x-match=any is not in the plan
          → remove it, or the handler goes on getting events that it does not subscribe to
        binding of queue `stock.order` to exchange `old.delay.out` by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.queue.stock.order` is not in the plan
          → retries that wait in that ladder come back by it: remove it when they have come, after the longest delay of the old settings
        queue `stock.other` is not in the plan (messages: 0, consumers: 2)
          → something consumes it: give the program that does another service name, or stop it; then as for one without consumers
        queue `stock.reserve` is not in the plan (messages: 12, consumers: 0; bound to `events` by `order`)
          → remove its bindings, handle or move its messages (a handler of the old name does), and delete it when it is empty
        queue `stock.reserve.dead` is not in the plan (messages: not counted, consumers: 0; bound to `rabbitry.v1.dead` by `stock.reserve`)
          → remove its bindings, handle or move its messages (a handler of the old name does), and delete it when it is empty
        not checked: binding of queue `stock.order` to exchange `by-header` by `float`: it is not in the plan, and has an argument that is neither text, whole number nor boolean; look at it yourself
    "#]],
    );
    assert_eq!(compared(&plan, &broker).breaking().count(), 0);
}

#[test]
fn what_others_have_is_not_looked_at() {
    let kinds = [("stock.order", QueueType::Quorum), ("billing.in", QueueType::Existing)];
    let plan = stock(&kinds);
    let mut broker = having(&plan);
    // Queues of others, and one whose service's name only begins like ours.
    broker.queues.insert("stocks.order".to_owned(), ListedQueue::default());
    broker.queues.insert("billing.out".to_owned(), ListedQueue::default());
    // What their owner does with what we join.
    broker.bindings.push(binding("invoices", "billing.in", "#"));
    let theirs = broker.queues.get_mut("billing.in").unwrap();
    *theirs = ListedQueue {
        kind: "stream".to_owned(),
        arguments: serde_json::from_value(json!({ "x-max-age": "1d" })).unwrap(),
        ..ListedQueue::default()
    };
    let legacy = broker.exchanges.get_mut("legacy").unwrap();
    legacy.kind = "x-consistent-hash".to_owned();
    legacy.arguments.insert("hash-header".to_owned(), json!("id"));
    // Other services schedule, too; other versions of rabbitry have dead letters.
    broker.bindings.push(ListedBinding {
        destination: Destination::Exchange("events".to_owned()),
        ..binding("rabbitry.v2.delay.out", "", "exchange.events")
    });
    broker.bindings.push(binding("rabbitry.v2.dead", "stock.order.dead", "stock.order"));
    let comparison = compared(&plan, &broker);
    assert!(comparison.is_equal(), "{comparison}");
    // But what the plan says of them: our binding, and that they are there.
    broker.bindings.retain(|binding| *binding != super::binding("events", "billing.in", "order"));
    broker.exchanges.remove("legacy");
    check(
        &plan,
        &broker,
        &expect![[r#"
        exchange `legacy` is missing
          → create it: `Service::declare`, or start with TopologyMode::Declare
        binding of queue `billing.in` to exchange `events` by `order` is missing
          → create it: `Service::declare`, or start with TopologyMode::Declare
    "#]],
    );
}

#[test]
fn what_breaks_comes_first() {
    let plan = one();
    let mut broker = having(&plan);
    broker.exchanges.get_mut("events").unwrap().policies.push(policy("ae", false, "alternate-exchange", "lost"));
    broker.bindings.push(binding("events", "stock.order", "order_created"));
    broker.queues.remove("rabbitry.v1.delay.unwanted");
    let breaks: Vec<bool> = compared(&plan, &broker).differences.iter().map(Difference::breaks).collect();
    assert_eq!(breaks, [true, false, false]);
}

#[test]
fn a_comparison_as_json() {
    let plan = one();
    let mut broker = having(&plan);
    broker.queues.get_mut("stock.order").unwrap().arguments.insert("x-delivery-limit".to_owned(), json!(3));
    broker.queues.get_mut("stock.order").unwrap().policies.push(policy("all", true, "max-length", 9));
    broker.bindings.push(binding("events", "stock.order", "order_created"));
    broker.bindings.retain(|binding| binding.routing_key != "order");
    broker.exchanges.remove("legacy");
    broker.queues.insert("stock.old".to_owned(), ListedQueue { messages: Some(3), ..ListedQueue::default() });
    broker.unread.push("something".to_owned());
    let json = serde_json::to_string_pretty(&compared(&plan, &broker)).unwrap();
    expect![[r#"
        {
          "differences": [
            {
              "difference": "missing",
              "object": {
                "exchange": "legacy"
              },
              "breaks": true,
              "cure": "create it: `Service::declare`, or start with TopologyMode::Declare"
            },
            {
              "difference": "unequal",
              "object": {
                "queue": "stock.order"
              },
              "field": "x-delivery-limit",
              "ours": 20,
              "theirs": 3,
              "breaks": true,
              "cure": "a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare"
            },
            {
              "difference": "missing_binding",
              "binding": {
                "source": "events",
                "queue": "stock.order",
                "routing_key": "order"
              },
              "breaks": true,
              "cure": "create it: `Service::declare`, or start with TopologyMode::Declare"
            },
            {
              "difference": "policy",
              "object": {
                "queue": "stock.order"
              },
              "policy": "all",
              "operator": true,
              "key": "max-length",
              "value": 9,
              "effect": "at 9 messages RabbitMQ refuses more: whoever publishes one of its events gets a nack, though other subscribers may have it, and 32 retries for it stop a level of the delay ladder for all who share it",
              "breaks": false,
              "cure": "take `max-length` out of operator policy `all`, or have its pattern leave queue `stock.order` out"
            },
            {
              "difference": "stale_binding",
              "binding": {
                "source": "events",
                "queue": "stock.order",
                "routing_key": "order_created"
              },
              "retries": false,
              "breaks": false,
              "cure": "remove it, or the handler goes on getting events that it does not subscribe to"
            },
            {
              "difference": "stale_queue",
              "queue": "stock.old",
              "messages": 3,
              "consumers": 0,
              "bindings": [],
              "breaks": false,
              "cure": "remove its bindings, handle or move its messages (a handler of the old name does), and delete it when it is empty"
            }
          ],
          "unchecked": [
            "something"
          ]
        }"#]].assert_eq(&json);
}
