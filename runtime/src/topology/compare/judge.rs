//! A plan beside what a broker was seen to have.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use super::{
    Comparison, Difference, Object,
    listing::{ListedBinding, ListedExchange, ListedQueue, Listing},
    policies,
};
use crate::topology::{Argument, Arguments, Binding, Destination, Exchange, Queue, QueueType, Topology};

/// Whose plan it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    /// The service's name.
    pub(crate) service: &'a str,
    /// How long the handlers of its work queues may run.
    pub(crate) deadlines: &'a BTreeMap<String, Duration>,
}

/// What differs. What the user named and the broker had is compared only as far as the plan says something of it; what is
/// neither the plan's nor the service's is not looked at.
pub(crate) fn compare(plan: &Topology, owner: Owner<'_>, broker: &Listing) -> Comparison {
    let mut differences = Vec::new();
    for exchange in &plan.exchanges {
        match broker.exchanges.get(&exchange.name) {
            None => differences.push(Difference::Missing { object: Object::Exchange(exchange.name.clone()) }),
            Some(listed) => compare_exchange(exchange, listed, &mut differences),
        }
    }
    for queue in &plan.queues {
        match broker.queues.get(&queue.name) {
            None => differences.push(Difference::Missing { object: Object::Queue(queue.name.clone()) }),
            Some(listed) => {
                compare_queue(queue, listed, &mut differences);
                let deadline = owner.deadlines.get(&queue.name).copied();
                let found = policies::on_queue(plan, queue, listed, deadline);
                differences.extend(found.into_iter().map(Difference::Policy));
            }
        }
    }
    let mut unchecked = broker.unread.clone();
    missing_bindings(plan, broker, &mut differences);
    stale_bindings(plan, broker, &mut differences, &mut unchecked);
    stale_queues(plan, owner.service, broker, &mut differences);
    // Stable: otherwise they stay in the plan's order.
    differences.sort_by_key(|difference| !difference.breaks());
    Comparison { differences, unchecked }
}

fn compare_exchange(exchange: &Exchange, listed: &ListedExchange, differences: &mut Vec<Difference>) {
    let object = Object::Exchange(exchange.name.clone());
    differences.extend(policies::on_exchange(&exchange.name, listed).into_iter().map(Difference::Policy));
    if exchange.joined {
        return;
    }
    let mut fields = Fields { object, differences };
    fields.equal("type", exchange.kind.to_string(), listed.kind.as_str());
    fields.equal("durable", true, listed.durable);
    fields.equal("auto_delete", false, listed.auto_delete);
    fields.equal("internal", false, listed.internal);
    fields.arguments(&exchange.arguments, &listed.arguments);
}

fn compare_queue(queue: &Queue, listed: &ListedQueue, differences: &mut Vec<Difference>) {
    if queue.kind == QueueType::Existing {
        return;
    }
    let mut fields = Fields { object: Object::Queue(queue.name.clone()), differences };
    fields.equal("type", queue.kind.to_string(), listed.kind.as_str());
    fields.equal("durable", true, listed.durable);
    fields.equal("auto_delete", false, listed.auto_delete);
    fields.equal("exclusive", false, listed.exclusive);
    fields.arguments(&queue.arguments, &listed.arguments);
}

/// The fields of one object.
struct Fields<'a> {
    object: Object,
    differences: &'a mut Vec<Difference>,
}

impl Fields<'_> {
    fn equal(&mut self, field: &str, ours: impl Into<Value>, theirs: impl Into<Value>) {
        self.same(field, Some(ours.into()), Some(theirs.into()));
    }

    fn arguments(&mut self, ours: &Arguments, theirs: &Map<String, Value>) {
        // The type of a queue has been looked at, and a classic one may have been declared without naming it.
        for (name, value) in ours.iter().filter(|(name, _)| *name != "x-queue-type") {
            self.same(name, Some(value.into()), theirs.get(name).cloned());
        }
        for (name, value) in theirs.iter().filter(|(name, _)| *name != "x-queue-type") {
            if !ours.contains_key(name) {
                self.same(name, None, Some(value.clone()));
            }
        }
    }

    fn same(&mut self, field: &str, ours: Option<Value>, theirs: Option<Value>) {
        if ours != theirs {
            let (object, field) = (self.object.clone(), field.to_owned());
            self.differences.push(Difference::Unequal { object, field, ours, theirs });
        }
    }
}

fn missing_bindings(plan: &Topology, broker: &Listing, differences: &mut Vec<Difference>) {
    for binding in &plan.bindings {
        let there = match &binding.destination {
            Destination::Queue(queue) => broker.queues.contains_key(queue),
            Destination::Exchange(exchange) => broker.exchanges.contains_key(exchange),
        };
        // What is missing has no bindings, either, and that is said already.
        if !there || !broker.exchanges.contains_key(&binding.source) {
            continue;
        }
        if !broker.bindings.iter().any(|listed| same_binding(binding, listed)) {
            differences.push(Difference::MissingBinding { binding: binding.clone() });
        }
    }
}

fn same_binding(ours: &Binding, theirs: &ListedBinding) -> bool {
    ours.source == theirs.source
        && ours.destination == theirs.destination
        && ours.routing_key == theirs.routing_key
        && ours.arguments.len() == theirs.arguments.len()
        && ours.arguments.iter().all(|(name, value)| theirs.arguments.get(name) == Some(&value.into()))
}

fn stale_bindings(plan: &Topology, broker: &Listing, differences: &mut Vec<Difference>, unchecked: &mut Vec<String>) {
    // The other bindings of a queue that was there are for whoever made it.
    let ours = plan.queues.iter().filter(|queue| queue.kind != QueueType::Existing && plan.is_work_queue(&queue.name));
    for queue in ours {
        for listed in bindings_of(broker, &queue.name) {
            if plan.bindings.iter().any(|binding| same_binding(binding, listed)) {
                continue;
            }
            match binding(listed) {
                Some(binding) => {
                    // A ladder's last exchange, ours or one that the service had before: nothing else has such keys.
                    let retries = binding.routing_key.ends_with(&format!("*.queue.{}", queue.name));
                    differences.push(Difference::StaleBinding { binding, retries });
                }
                None => unchecked.push(format!(
                    "binding of queue `{}` to exchange `{}` by `{}`: it is not in the plan, and has an argument that is neither text, whole number nor boolean; look at it yourself",
                    queue.name, listed.source, listed.routing_key
                )),
            }
        }
    }
}

fn stale_queues(plan: &Topology, service: &str, broker: &Listing, differences: &mut Vec<Difference>) {
    let prefix = format!("{service}.");
    for (name, listed) in &broker.queues {
        let planned = plan.queues.iter().any(|queue| queue.name == *name);
        if planned || !name.starts_with(&prefix) || listed.exclusive {
            continue;
        }
        differences.push(Difference::StaleQueue {
            queue: name.clone(),
            messages: listed.messages,
            consumers: listed.consumers,
            bindings: bindings_of(broker, name).filter_map(binding).collect(),
        });
    }
}

/// What leads to a queue, but for the default exchange, to which each is bound.
fn bindings_of<'a>(broker: &'a Listing, queue: &'a str) -> impl Iterator<Item = &'a ListedBinding> {
    broker.bindings.iter().filter(move |binding| {
        !binding.source.is_empty() && matches!(&binding.destination, Destination::Queue(name) if name == queue)
    })
}

/// A binding in the plan's words; `None` if it has an argument that has none there.
fn binding(listed: &ListedBinding) -> Option<Binding> {
    let arguments = listed.arguments.iter().map(|(name, value)| {
        let value = match value {
            Value::String(text) => Argument::Text(text.clone()),
            Value::Bool(value) => Argument::Bool(*value),
            other => Argument::Integer(other.as_i64()?),
        };
        Some((name.clone(), value))
    });
    Some(Binding {
        source: listed.source.clone(),
        destination: listed.destination.clone(),
        routing_key: listed.routing_key.clone(),
        arguments: arguments.collect::<Option<_>>()?,
    })
}
