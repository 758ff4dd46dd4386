//! What is on a broker, in the words of a plan.

use std::collections::BTreeSet;

use rabbitry::{
    QueueType, Topology,
    topology::{Argument, Arguments, Destination},
};
use serde_json::Value;

use crate::TestBroker;

/// Exchanges, queues and bindings, each as a line of text.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// The exchanges: name, type, arguments.
    pub exchanges: BTreeSet<String>,
    /// The queues: name, type, arguments.
    pub queues: BTreeSet<String>,
    /// The bindings: source, kind and name of the destination, key, arguments.
    pub bindings: BTreeSet<String>,
}

impl Plan {
    /// What a service wants.
    #[must_use]
    pub fn of(topology: &Topology) -> Self {
        let exchanges = topology
            .exchanges
            .iter()
            .map(|exchange| format!("{} {}{}", exchange.name, exchange.kind, listed(&exchange.arguments)));
        let queues = topology.queues.iter().map(|queue| {
            assert_ne!(queue.kind, QueueType::Existing, "the plan does not say of what type {} is", queue.name);
            format!("{} {}{}", queue.name, queue.kind, listed(&queue.arguments))
        });
        let bindings = topology.bindings.iter().map(|binding| {
            let kind = match binding.destination {
                Destination::Queue(_) => "queue",
                Destination::Exchange(_) => "exchange",
            };
            let (name, key) = (binding.destination.name(), &binding.routing_key);
            format!("{} {kind} {name} {key}{}", binding.source, listed(&binding.arguments))
        });
        Self { exchanges: exchanges.collect(), queues: queues.collect(), bindings: bindings.collect() }
    }

    /// What there is, by `rabbitmqctl`; without what every virtual host has: RabbitMQ's own exchanges, and the bindings of
    /// each queue to the default exchange.
    pub async fn on(broker: &TestBroker) -> Self {
        let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
        let exchanges = rows(broker, "list_exchanges", &["name", "type", "arguments"]).await.into_iter();
        let exchanges = exchanges
            .filter(|row| !text(row, "name").is_empty() && !text(row, "name").starts_with("amq."))
            .map(|row| format!("{} {}{}", text(&row, "name"), text(&row, "type"), printed(&row["arguments"])));
        let queues = rows(broker, "list_queues", &["name", "type", "arguments", "durable"]).await.into_iter();
        let queues = queues.map(|row| {
            assert_eq!(row["durable"].to_string().replace('"', ""), "true", "{row}");
            let kind = text(&row, "type").replace("rabbit_", "").replace("_queue", "");
            format!("{} {kind}{}", text(&row, "name"), printed(&row["arguments"]))
        });
        let columns = ["source_name", "destination_kind", "destination_name", "routing_key", "arguments"];
        let bindings = rows(broker, "list_bindings", &columns).await.into_iter();
        let bindings = bindings.filter(|row| !text(row, "source_name").is_empty()).map(|row| {
            let [source, kind, name, key, _] = columns.map(|column| text(&row, column));
            format!("{source} {kind} {name} {key}{}", printed(&row["arguments"]))
        });
        Self { exchanges: exchanges.collect(), queues: queues.collect(), bindings: bindings.collect() }
    }
}

async fn rows(broker: &TestBroker, what: &str, columns: &[&str]) -> Vec<Value> {
    let arguments = [&["-q", what, "-p", broker.vhost(), "--formatter", "json"], columns].concat();
    let printed = broker.node().ctl(&arguments).await;
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{what} printed no JSON ({error}): {printed}"))
}

fn listed(arguments: &Arguments) -> String {
    let value = |argument: &Argument| match argument {
        Argument::Text(text) => text.clone(),
        Argument::Integer(number) => number.to_string(),
        Argument::Bool(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    arguments.iter().map(|(name, argument)| format!(" {name}={}", value(argument))).collect()
}

/// Arguments as `rabbitmqctl` prints them: an object, or a list of names, types and values.
fn printed(arguments: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let entries: BTreeSet<(String, String)> = match arguments {
        Value::Object(entries) => entries.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        Value::Array(entries) => entries
            .iter()
            .map(|entry| (text(&entry[0]), text(entry.as_array().and_then(|entry| entry.last()).unwrap_or(entry))))
            .collect(),
        other => [(String::new(), other.to_string())].into(),
    };
    entries.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}
