//! What the policies of a broker do to the queues and exchanges of a plan.
//!
//! RabbitMQ takes the smaller of a policy's and a queue's own number, and the queue's own dead-letter exchange, routing key
//! and strategy. But a policy's `overflow` wins over a quorum queue's own.

use std::time::Duration;

use serde_json::Value;

use super::{
    Object, PolicyInTheWay,
    listing::{ListedExchange, ListedPolicy, ListedQueue},
};
use crate::topology::{Argument, Queue, Topology};

/// What a queue of a plan is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Events wait in it for their handler.
    Work,
    /// Messages wait in it for a person.
    Rest,
    /// Messages wait in it for their time, and go on by themselves.
    Ladder,
    /// It drops what comes.
    Unwanted,
}

impl Role {
    fn of(plan: &Topology, queue: &Queue) -> Self {
        if plan.is_work_queue(&queue.name) {
            Self::Work
        } else if queue.arguments.contains_key("x-message-ttl") {
            Self::Ladder
        } else if queue.arguments.get("x-max-length") == Some(&Argument::Integer(0)) {
            Self::Unwanted
        } else {
            Self::Rest
        }
    }
}

/// The policies that are in the way of a queue of the plan. `deadline` is how long its handler may run.
pub(crate) fn on_queue(
    plan: &Topology,
    queue: &Queue,
    listed: &ListedQueue,
    deadline: Option<Duration>,
) -> Vec<PolicyInTheWay> {
    let role = Role::of(plan, queue);
    let found = listed.policies.iter().filter_map(|policy| {
        let (effect, breaks) = effect(role, listed, policy, deadline)?;
        Some(in_the_way(Object::Queue(queue.name.clone()), policy, effect, breaks))
    });
    found.collect()
}

/// The policies that are in the way of an exchange of the plan.
pub(super) fn on_exchange(name: &str, listed: &ListedExchange) -> Vec<PolicyInTheWay> {
    // Those of rabbitry's own that have none need none.
    let events = |policy: &&ListedPolicy| !listed.arguments.contains_key(&policy.key) && !name.starts_with("rabbitry.");
    let found = listed.policies.iter().filter(|policy| policy.key == "alternate-exchange");
    let found = found.filter(events).map(|policy| {
        let effect = "an event that no queue is bound for goes there, and is neither counted as unrouted nor an error";
        in_the_way(Object::Exchange(name.to_owned()), policy, effect.to_owned(), false)
    });
    found.collect()
}

fn in_the_way(object: Object, policy: &ListedPolicy, effect: String, breaks: bool) -> PolicyInTheWay {
    let ListedPolicy { name, operator, key, value } = policy.clone();
    PolicyInTheWay { object, policy: name, operator, key, value, effect, breaks }
}

/// What one key of a policy does to a queue, and whether that breaks what is promised; `None` if it does nothing to us.
fn effect(
    role: Role,
    queue: &ListedQueue,
    policy: &ListedPolicy,
    deadline: Option<Duration>,
) -> Option<(String, bool)> {
    let value = policy.value.as_i64();
    if policy.key != "expires" && role == Role::Unwanted {
        return None;
    }
    match policy.key.as_str() {
        "max-length" | "max-length-bytes" => length(role, queue, policy, value?),
        "message-ttl" => time_to_live(role, queue, value?),
        "expires" => {
            let effect = format!("RabbitMQ deletes it, with what is in it, when nothing consumes it for {} ms", value?);
            Some((effect, true))
        }
        "overflow" => overflow(queue, policy),
        "delivery-limit" => delivery_limit(role, queue, value?),
        "dead-letter-exchange" if role == Role::Rest => {
            Some(("what expires or is rejected there leaves it for that exchange".to_owned(), false))
        }
        "dead-letter-routing-key" if role == Role::Ladder => {
            let effect = "it replaces the routing key, which says for how long and for whom a message waits: retries and scheduled events go astray";
            Some((effect.to_owned(), true))
        }
        "consumer-timeout" => consumer_timeout(value?, deadline?),
        _ => None,
    }
}

fn length(role: Role, queue: &ListedQueue, policy: &ListedPolicy, limit: i64) -> Option<(String, bool)> {
    if queue.number(&format!("x-{}", policy.key)).is_some_and(|own| own <= limit) {
        return None;
    }
    let unit = if policy.key == "max-length" { "messages" } else { "bytes" };
    let refuses = queue.overflow() != "drop-head";
    let (what, breaks) = match role {
        Role::Work if refuses => (
            "RabbitMQ refuses more: whoever publishes one of its events gets a nack, though other subscribers may have it, and 32 retries for it stop a level of the delay ladder for all who share it",
            false,
        ),
        Role::Work if moves_on(queue) => ("its oldest events go to the dead letters unhandled", false),
        Role::Work => ("its oldest events are dropped", true),
        Role::Rest if refuses => ("it takes no more, and what should go there stays where it failed", false),
        Role::Rest => ("the oldest are dropped", true),
        Role::Ladder | Role::Unwanted if refuses => {
            ("it takes no more retries and scheduled events, and 32 of them stop the level above it", false)
        }
        Role::Ladder | Role::Unwanted => ("the oldest leave it too early", false),
    };
    Some((format!("at {limit} {unit} {what}"), breaks))
}

fn time_to_live(role: Role, queue: &ListedQueue, milliseconds: i64) -> Option<(String, bool)> {
    if queue.number("x-message-ttl").is_some_and(|own| own <= milliseconds) {
        return None;
    }
    Some(match role {
        Role::Work if moves_on(queue) => {
            (format!("an event that has waited for {milliseconds} ms goes to the dead letters unhandled"), false)
        }
        Role::Rest if moves_on(queue) => (format!("what has been there for {milliseconds} ms leaves it"), false),
        Role::Work | Role::Rest | Role::Unwanted => {
            (format!("what has been there for {milliseconds} ms is dropped"), true)
        }
        Role::Ladder => (format!("retries and scheduled events leave it after {milliseconds} ms, too early"), false),
    })
}

fn overflow(queue: &ListedQueue, policy: &ListedPolicy) -> Option<(String, bool)> {
    let at_least_once = queue.arguments.get("x-dead-letter-strategy").and_then(Value::as_str) == Some("at-least-once");
    (queue.kind == "quorum" && at_least_once && policy.value.as_str() != Some("reject-publish")).then(|| {
        let effect = "it wins over the queue's own reject-publish, and without that RabbitMQ moves dead letters and retries on at most once: they can be lost";
        (effect.to_owned(), true)
    })
}

fn delivery_limit(role: Role, queue: &ListedQueue, limit: i64) -> Option<(String, bool)> {
    if queue.kind != "quorum" || queue.number("x-delivery-limit").is_some_and(|own| own <= limit) {
        return None;
    }
    let often = if limit < 0 {
        // Unlimited to 4.0, which then takes the queue's own.
        "once, on RabbitMQ before 4.0,".to_owned()
    } else {
        format!("more than {limit} times")
    };
    match role {
        Role::Work => {
            Some((format!("an event that comes back {often} goes to the dead letters; deploys send back, too"), false))
        }
        Role::Rest => Some((format!("what somebody looks at and puts back {often} is dropped"), true)),
        Role::Ladder | Role::Unwanted => None,
    }
}

fn consumer_timeout(milliseconds: i64, deadline: Duration) -> Option<(String, bool)> {
    let timeout = Duration::from_millis(u64::try_from(milliseconds).ok()?);
    (timeout <= deadline).then(|| {
        let effect = format!(
            "RabbitMQ closes the channel of a handler that takes {}, and sends all its events again, but this one may take {}",
            humantime::format_duration(timeout),
            humantime::format_duration(deadline),
        );
        (effect, false)
    })
}

/// Whether what it gives up goes somewhere.
fn moves_on(queue: &ListedQueue) -> bool {
    queue.arguments.contains_key("x-dead-letter-exchange") || queue.policy("dead-letter-exchange").is_some()
}
