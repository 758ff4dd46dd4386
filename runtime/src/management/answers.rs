//! What the API answers with, and what we take of it.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::topology::{
    Destination,
    compare::listing::{ListedBinding, ListedExchange, ListedPolicy, ListedQueue},
};

#[derive(Debug, Deserialize)]
pub(super) struct Exchange {
    #[serde(rename = "type")]
    kind: String,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    #[serde(default, deserialize_with = "table")]
    arguments: Map<String, Value>,
    pub(super) policy: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub(super) name: String,
    #[serde(rename = "type", default)]
    kind: String,
    durable: bool,
    auto_delete: bool,
    #[serde(default)]
    exclusive: bool,
    #[serde(default, deserialize_with = "table")]
    arguments: Map<String, Value>,
    messages: Option<u64>,
    message_bytes: Option<u64>,
    #[serde(default)]
    consumers: u64,
    pub(super) policy: Option<String>,
    pub(super) operator_policy: Option<String>,
    /// What both policies say together; it comes with the statistics, some seconds late.
    #[serde(default, deserialize_with = "some_table")]
    pub(super) effective_policy_definition: Option<Map<String, Value>>,
}

/// What is asked for of a queue: its statistics would be most of the answer.
pub(super) const QUEUE_COLUMNS: &str = "name,type,durable,auto_delete,exclusive,arguments,messages,message_bytes,consumers,policy,operator_policy,effective_policy_definition";

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) page_count: u64,
    pub(super) items: Vec<Queue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Binding {
    source: String,
    destination: String,
    destination_type: String,
    routing_key: String,
    #[serde(default, deserialize_with = "table")]
    arguments: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Policy {
    #[serde(default, deserialize_with = "table")]
    pub(super) definition: Map<String, Value>,
}

impl Exchange {
    pub(super) fn listed(self, policy: Option<&Policy>) -> ListedExchange {
        let name = self.policy.unwrap_or_default();
        let policies = policy.map(|policy| &policy.definition).into_iter().flatten();
        let policies = policies.map(|(key, value)| ListedPolicy {
            name: name.clone(),
            operator: false,
            key: key.clone(),
            value: value.clone(),
        });
        ListedExchange {
            policies: policies.collect(),
            kind: self.kind,
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            arguments: self.arguments,
        }
    }
}

impl Queue {
    /// The queue with what policies set for it. `definition` gives the definition of a policy or, if told so, of an operator
    /// policy, where it is known.
    pub(super) fn listed<'a>(self, definition: impl Fn(&str, bool) -> Option<&'a Policy>) -> ListedQueue {
        let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        let (policy, operator_policy) = (named(&self.policy), named(&self.operator_policy));
        let sets = |name: &Option<String>, operator: bool, key: &str, value: Option<&Value>| {
            let definition = name.as_deref().and_then(|name| definition(name, operator));
            let set = definition.and_then(|policy| policy.definition.get(key));
            set.is_some_and(|set| value.is_none_or(|value| value == set))
        };
        let policies = self.effective_policy_definition.iter().flatten().map(|(key, value)| {
            // Of two that set it the operator's may win or not: the one does whose value it is.
            let operator = policy.is_none()
                || sets(&operator_policy, true, key, Some(value))
                || (sets(&operator_policy, true, key, None) && !sets(&policy, false, key, Some(value)));
            let name = if operator { &operator_policy } else { &policy };
            let name = name.clone().unwrap_or_default();
            ListedPolicy { name, operator, key: key.clone(), value: value.clone() }
        });
        ListedQueue {
            policies: policies.collect(),
            kind: self.kind,
            durable: self.durable,
            auto_delete: self.auto_delete,
            exclusive: self.exclusive,
            arguments: self.arguments,
            messages: self.messages,
            bytes: self.message_bytes,
            consumers: self.consumers,
        }
    }
}

impl Binding {
    pub(super) fn listed(self) -> ListedBinding {
        let destination = match self.destination_type.as_str() {
            "exchange" => Destination::Exchange(self.destination),
            _ => Destination::Queue(self.destination),
        };
        let (source, routing_key, arguments) = (self.source, self.routing_key, self.arguments);
        ListedBinding { source, destination, routing_key, arguments }
    }
}

/// An empty table is `[]` to some versions, being an empty list to Erlang.
fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Ok(some_table(deserializer)?.unwrap_or_default())
}

fn some_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Object(table) => Ok(Some(table)),
        Value::Array(list) if list.is_empty() => Ok(Some(Map::new())),
        Value::Null => Ok(None),
        other => Err(serde::de::Error::custom(format!("a table is expected, not {other}"))),
    }
}

#[cfg(test)]
mod tests;
