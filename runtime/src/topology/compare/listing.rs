//! What a broker has, as far as a plan asks for it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::topology::Destination;

/// What a broker has of a plan's objects and of a service's queues.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// The plan's exchanges that are there, by name.
    pub(crate) exchanges: BTreeMap<String, ListedExchange>,
    /// The plan's queues that are there, and all whose names begin with the service's, by name.
    pub(crate) queues: BTreeMap<String, ListedQueue>,
    /// The bindings that lead to those queues, and to the plan's exchanges that the plan binds.
    pub(crate) bindings: Vec<ListedBinding>,
    /// What could not be read, a sentence each.
    pub(crate) unread: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ListedExchange {
    /// `topic`, `direct`, or that of a plugin.
    pub(crate) kind: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: Map<String, Value>,
    pub(crate) policies: Vec<ListedPolicy>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ListedQueue {
    /// `quorum`, `classic`, `stream`.
    pub(crate) kind: String,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) exclusive: bool,
    pub(crate) arguments: Map<String, Value>,
    /// `None` while the broker has not counted them.
    pub(crate) messages: Option<u64>,
    /// The bytes of their bodies.
    pub(crate) bytes: Option<u64>,
    pub(crate) consumers: u64,
    /// What policies set for it, each key once: as they take effect together.
    pub(crate) policies: Vec<ListedPolicy>,
}

/// One thing that a policy sets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListedPolicy {
    /// The policy's name.
    pub(crate) name: String,
    pub(crate) operator: bool,
    pub(crate) key: String,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListedBinding {
    pub(crate) source: String,
    pub(crate) destination: Destination,
    pub(crate) routing_key: String,
    pub(crate) arguments: Map<String, Value>,
}

impl ListedQueue {
    /// What policies set a key to.
    pub(crate) fn policy(&self, key: &str) -> Option<&Value> {
        self.policies.iter().find(|policy| policy.key == key).map(|policy| &policy.value)
    }

    /// A number that the queue was declared with.
    pub(crate) fn number(&self, argument: &str) -> Option<i64> {
        self.arguments.get(argument).and_then(Value::as_i64)
    }

    /// What happens when it is full. On a quorum queue a policy wins over the queue's own argument, on a classic one it does
    /// not (measured on 3.10 and 4.0).
    pub(crate) fn overflow(&self) -> &str {
        let (policy, argument) = (self.policy("overflow"), self.arguments.get("x-overflow"));
        let wins = if self.kind == "quorum" { policy.or(argument) } else { argument.or(policy) };
        wins.and_then(Value::as_str).unwrap_or("drop-head")
    }

    /// Whether it has reached its limit, of whichever origin, and refuses what comes.
    pub(crate) fn is_full(&self) -> bool {
        let reached = |key: &str, now: Option<u64>| {
            let policy = self.policy(key).and_then(Value::as_u64);
            let argument = self.arguments.get(&format!("x-{key}")).and_then(Value::as_u64);
            let limit = policy.into_iter().chain(argument).min();
            matches!((limit, now), (Some(limit), Some(now)) if now >= limit)
        };
        self.overflow() != "drop-head"
            && (reached("max-length", self.messages) || reached("max-length-bytes", self.bytes))
    }
}
