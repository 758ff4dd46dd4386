//! Comparing, without a broker.

mod differences;
mod policies;
mod refusals;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use super::{
    Comparison, Owner, compare,
    listing::{ListedBinding, ListedExchange, ListedPolicy, ListedQueue, Listing},
};
use crate::topology::{Arguments, Exchange, PlannedService, PlannedSubscription, QueueType, Topology, plan};

/// The plan of a service `stock` with a handler each of these.
fn stock(handlers: &[(&str, QueueType)]) -> Topology {
    let subscription = |(queue, queue_type): &(&str, QueueType)| PlannedSubscription {
        queue: (*queue).to_owned(),
        queue_type: *queue_type,
        broadcast: false,
        bindings: vec![("events".to_owned(), "order".to_owned(), Arguments::new())],
    };
    plan(&PlannedService {
        exchanges: vec![Exchange { joined: false, ..Exchange::topic("events") }, Exchange::topic("legacy")],
        publishes_to: vec!["events".to_owned()],
        subscriptions: handlers.iter().map(subscription).collect(),
        delays: None,
        longest_delay: Some(Duration::from_secs(1)),
    })
}

/// One handler, of the queue `stock.order`.
fn one() -> Topology {
    stock(&[("stock.order", QueueType::Quorum)])
}

/// A broker that has exactly a plan.
fn having(plan: &Topology) -> Listing {
    let json = |arguments: &Arguments| -> Map<String, Value> {
        arguments.iter().map(|(name, value)| (name.clone(), value.into())).collect()
    };
    let exchanges = plan.exchanges.iter().map(|exchange| {
        let (kind, arguments) = (exchange.kind.to_string(), json(&exchange.arguments));
        (exchange.name.clone(), ListedExchange { kind, durable: true, arguments, ..ListedExchange::default() })
    });
    let queues = plan.queues.iter().map(|queue| {
        let kind = if queue.kind == QueueType::Quorum { "quorum" } else { "classic" }.to_owned();
        let (arguments, messages) = (json(&queue.arguments), Some(0));
        (queue.name.clone(), ListedQueue { kind, durable: true, arguments, messages, ..ListedQueue::default() })
    });
    let planned = plan.bindings.iter().map(|binding| ListedBinding {
        source: binding.source.clone(),
        destination: binding.destination.clone(),
        routing_key: binding.routing_key.clone(),
        arguments: json(&binding.arguments),
    });
    let by_default = plan.queues.iter().map(|queue| binding("", &queue.name, &queue.name));
    Listing {
        exchanges: exchanges.collect(),
        queues: queues.collect(),
        bindings: planned.chain(by_default).collect(),
        unread: Vec::new(),
    }
}

fn binding(source: &str, queue: &str, key: &str) -> ListedBinding {
    ListedBinding {
        source: source.to_owned(),
        destination: crate::topology::Destination::Queue(queue.to_owned()),
        routing_key: key.to_owned(),
        arguments: Map::new(),
    }
}

fn policy(name: &str, operator: bool, key: &str, value: impl Into<Value>) -> ListedPolicy {
    ListedPolicy { name: name.to_owned(), operator, key: key.to_owned(), value: value.into() }
}

fn compared(plan: &Topology, broker: &Listing) -> Comparison {
    let deadlines = BTreeMap::from([("stock.order".to_owned(), Duration::from_secs(60))]);
    compare(plan, Owner { service: "stock", deadlines: &deadlines }, broker)
}
