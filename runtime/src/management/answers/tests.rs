use serde_json::json;

use super::{Binding, Exchange, Page, Policy, Queue};
use crate::topology::{
    Destination,
    compare::listing::{ListedPolicy, ListedQueue},
};

fn listed(queue: serde_json::Value, definitions: &[(&str, bool, serde_json::Value)]) -> ListedQueue {
    let queue: Queue = serde_json::from_value(queue).unwrap();
    let definitions: Vec<(&str, bool, Policy)> = definitions
        .iter()
        .map(|(name, operator, definition)| {
            (*name, *operator, serde_json::from_value(json!({ "definition": definition })).unwrap())
        })
        .collect();
    queue.listed(|name, operator| {
        definitions.iter().find(|(of, op, _)| *of == name && *op == operator).map(|(_, _, policy)| policy)
    })
}

fn policies(queue: serde_json::Value, definitions: &[(&str, bool, serde_json::Value)]) -> Vec<String> {
    let told = |ListedPolicy { name, operator, key, value }| {
        format!("{}{name}: {key}={value}", if operator { "operator " } else { "" })
    };
    listed(queue, definitions).policies.into_iter().map(told).collect()
}

/// What a queue has beside what a test is about.
fn with(more: serde_json::Value) -> serde_json::Value {
    let mut queue = json!({
        "name": "a.b", "type": "quorum", "durable": true, "auto_delete": false, "exclusive": false,
        "arguments": { "x-queue-type": "quorum" }, "messages": 7, "message_bytes": 70, "consumers": 2,
        "policy": null, "operator_policy": null, "effective_policy_definition": {},
    });
    for (name, value) in more.as_object().unwrap() {
        queue[name] = value.clone();
    }
    queue
}

#[test]
fn a_queue_is_read() {
    let queue = listed(with(json!({})), &[]);
    assert_eq!(
        (queue.kind.as_str(), queue.durable, queue.auto_delete, queue.exclusive),
        ("quorum", true, false, false)
    );
    assert_eq!((queue.messages, queue.bytes, queue.consumers), (Some(7), Some(70), 2));
    assert_eq!(queue.arguments["x-queue-type"], "quorum");
    assert_eq!(queue.policies, []);
    // Empty tables as Erlang has them, and a queue that is not counted yet.
    let bare = json!({ "name": "a.b", "durable": true, "auto_delete": false, "arguments": [] });
    let queue = listed(bare, &[]);
    assert_eq!((queue.arguments.len(), queue.messages, queue.consumers), (0, None, 0));
    let page: Page = serde_json::from_value(json!({ "page_count": 1, "items": [with(json!({}))] })).unwrap();
    assert_eq!((page.page_count, page.items.len()), (1, 1));
}

#[test]
fn each_key_is_said_to_be_of_the_policy_that_it_is_of() {
    let both = with(json!({
        "policy": "ours", "operator_policy": "theirs",
        "effective_policy_definition": { "max-length": 3, "message-ttl": 5, "overflow": "drop-head", "expires": 9 },
    }));
    let definitions = [
        ("ours", false, json!({ "max-length": 8, "message-ttl": 5, "overflow": "drop-head" })),
        ("theirs", true, json!({ "max-length": 3, "message-ttl": 6, "expires": 9 })),
    ];
    let each = [
        "operator theirs: expires=9",
        "operator theirs: max-length=3",
        "ours: message-ttl=5",
        "ours: overflow=\"drop-head\"",
    ];
    assert_eq!(policies(both.clone(), &definitions), each);
    // Definitions that are not known: one of the two names it is.
    assert_eq!(policies(both, &[]).len(), 4);
    let one = with(json!({ "operator_policy": "theirs", "effective_policy_definition": { "max-length": 3 } }));
    assert_eq!(policies(one, &[]), ["operator theirs: max-length=3"]);
    let other =
        with(json!({ "policy": "ours", "operator_policy": "", "effective_policy_definition": { "expires": 3 } }));
    assert_eq!(policies(other, &[]), ["ours: expires=3"]);
}

#[test]
fn an_exchange_is_read() {
    let exchange = json!({
        "name": "events", "type": "topic", "durable": true, "auto_delete": false, "internal": false,
        "arguments": {}, "policy": "ae",
    });
    let exchange: Exchange = serde_json::from_value(exchange).unwrap();
    let policy: Policy = serde_json::from_value(json!({ "definition": { "alternate-exchange": "lost" } })).unwrap();
    let exchange = exchange.listed(Some(&policy));
    assert_eq!((exchange.kind.as_str(), exchange.policies.len()), ("topic", 1));
    assert_eq!((exchange.policies[0].name.as_str(), exchange.policies[0].value.as_str()), ("ae", Some("lost")));
}

#[test]
fn a_binding_is_read() {
    let binding = |kind: &str| {
        let binding = json!({
            "source": "events", "destination": "x", "destination_type": kind, "routing_key": "a.*",
            "arguments": { "x-match": "any" },
        });
        serde_json::from_value::<Binding>(binding).unwrap().listed()
    };
    assert_eq!(binding("queue").destination, Destination::Queue("x".to_owned()));
    assert_eq!(binding("exchange").destination, Destination::Exchange("x".to_owned()));
    assert_eq!((binding("queue").routing_key.as_str(), binding("queue").arguments.len()), ("a.*", 1));
}
