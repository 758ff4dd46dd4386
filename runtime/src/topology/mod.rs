//! What a service needs on the broker, as one value computed without I/O: exchanges, queues, bindings.

pub(crate) mod compare;
mod display;
pub(crate) mod ladder;
mod mode;
mod plan;
mod route;
pub(crate) mod topic;

use std::collections::BTreeMap;

use serde::Serialize;

pub use compare::{Comparison, Difference, Object, PolicyInTheWay};
pub use mode::TopologyMode;
pub(crate) use plan::{
    PlannedService, PlannedSubscription, WORK_QUEUE_DELIVERIES, dead_letter_exchange, dead_letter_queue, plan,
    undeliverable,
};

/// The limit of a quorum queue that no message is to leave by being returned too often. Never −1 (RabbitMQ 3.10 drops at
/// the first return), never none (4.0 drops at the 21st).
pub(crate) const UNLIMITED_DELIVERIES: i64 = 2_147_483_647;

/// The exchanges, queues and bindings that a service needs, in the order in which they are declared.
///
/// Get it from [`Service::topology`](crate::Service::topology). It prints as a table, is written as JSON by serde, and
/// says which queues an event reaches:
///
/// ```
/// use rabbitry::{AnyEvent, Service};
///
/// let topology = Service::new("audit")
///     .subscribe("order.*", |event: AnyEvent| async move { println!("{}", event.name()) })
///     .topology()?;
/// assert_eq!(topology.queues_for("events", "order.created"), ["audit.order.any"]);
/// assert!(topology.queues_for("events", "stock.updated").is_empty());
/// # Ok::<(), rabbitry::BuildError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Topology {
    /// The exchanges.
    pub exchanges: Vec<Exchange>,
    /// The queues; the dead letters' before the work queue that needs them.
    pub queues: Vec<Queue>,
    /// The bindings; those of events last, when all that a failing event needs is there.
    pub bindings: Vec<Binding>,
}

/// An exchange; all are durable.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it routes.
    #[serde(rename = "type")]
    pub kind: ExchangeKind,
    /// Its arguments.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub arguments: Arguments,
    /// Whether it was named by the user: one that is there already is taken as it is, of whatever type.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub joined: bool,
}

/// How an exchange routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ExchangeKind {
    /// By words of the routing key, with `*` and `#`.
    #[default]
    Topic,
    /// By the exact routing key.
    Direct,
    /// To all that is bound.
    Fanout,
    /// By the binding's arguments, matched against the message's headers.
    Headers,
}

/// A queue; all are durable but the exclusive ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: QueueType,
    /// Its arguments, `x-queue-type` among them.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub arguments: Arguments,
}

/// The type of a work queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QueueType {
    /// Replicated, counts deliveries, moves messages on at least once. Default.
    #[default]
    Quorum,
    /// Not replicated, counts nothing: a message that kills its consumer comes again for ever. `build` warns.
    Classic,
    /// There already, of whatever type and arguments: it is bound and consumed, never declared.
    Existing,
}

/// What leads from an exchange to a queue or to another exchange.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: String,
    /// Where they go.
    #[serde(flatten)]
    pub destination: Destination,
    /// What their routing keys are matched with.
    pub routing_key: String,
    /// The arguments: what an exchange of type `headers` matches.
    #[serde(skip_serializing_if = "Arguments::is_empty")]
    pub arguments: Arguments,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// To a queue.
    Queue(String),
    /// To another exchange.
    Exchange(String),
}

/// Arguments by name.
pub type Arguments = BTreeMap<String, Argument>;

/// The value of an argument of an exchange, a queue or a binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Integer(i64),
    /// Yes or no.
    Bool(bool),
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Argument {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Argument {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// As JSON, as RabbitMQ's management API shows it.
impl From<&Argument> for serde_json::Value {
    fn from(argument: &Argument) -> Self {
        match argument {
            Argument::Text(text) => text.as_str().into(),
            Argument::Integer(number) => (*number).into(),
            Argument::Bool(value) => (*value).into(),
        }
    }
}

impl From<bool> for Argument {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl Exchange {
    /// A topic exchange of this name, which is where a named exchange begins.
    #[must_use]
    pub fn topic(name: impl Into<String>) -> Self {
        Self::named(name, ExchangeKind::Topic)
    }

    /// An exchange that we make and whose arguments we hold.
    pub(crate) fn of_ours(name: &str, kind: ExchangeKind) -> Self {
        Self { joined: false, ..Self::named(name, kind) }
    }

    /// An exchange of this name and type. One that is there already is taken as it is.
    #[must_use]
    pub fn named(name: impl Into<String>, kind: ExchangeKind) -> Self {
        Self { name: name.into(), kind, arguments: Arguments::new(), joined: true }
    }
}

impl From<&str> for Exchange {
    fn from(name: &str) -> Self {
        Self::topic(name)
    }
}

impl From<String> for Exchange {
    fn from(name: String) -> Self {
        Self::topic(name)
    }
}

impl Queue {
    /// A durable queue of this name and type with these arguments; its type becomes one of them where they don't name it.
    #[must_use]
    pub fn named(name: impl Into<String>, kind: QueueType, mut arguments: Arguments) -> Self {
        let named = match kind {
            QueueType::Quorum => Some("quorum"),
            QueueType::Classic => Some("classic"),
            // It is never declared, so nothing is said of it.
            QueueType::Existing => None,
        };
        if let Some(named) = named {
            arguments.entry("x-queue-type".to_owned()).or_insert_with(|| Argument::from(named));
        }
        Self { name: name.into(), kind, arguments }
    }

    /// The arguments of a quorum queue that hands on what it gives up, at least once.
    fn moving_on(exchange: &str, routing_key: Option<&str>, deliveries: i64) -> Arguments {
        let mut arguments = Arguments::from([
            ("x-queue-type".to_owned(), Argument::from("quorum")),
            ("x-delivery-limit".to_owned(), Argument::from(deliveries)),
            ("x-dead-letter-exchange".to_owned(), Argument::from(exchange)),
            ("x-dead-letter-strategy".to_owned(), Argument::from("at-least-once")),
            // Without it the broker falls back to at-most-once and says nothing.
            ("x-overflow".to_owned(), Argument::from("reject-publish")),
        ]);
        if let Some(routing_key) = routing_key {
            arguments.insert("x-dead-letter-routing-key".to_owned(), Argument::from(routing_key));
        }
        arguments
    }

    /// A quorum queue that messages stay in until somebody takes them.
    fn at_rest(name: String) -> Self {
        let arguments = Arguments::from([
            ("x-queue-type".to_owned(), Argument::from("quorum")),
            ("x-delivery-limit".to_owned(), Argument::from(UNLIMITED_DELIVERIES)),
        ]);
        Self { name, kind: QueueType::Quorum, arguments }
    }
}

impl Binding {
    /// What leads from an exchange to a destination by this routing key, without arguments.
    #[must_use]
    pub fn new(source: &str, destination: Destination, routing_key: impl Into<String>) -> Self {
        Self { source: source.to_owned(), destination, routing_key: routing_key.into(), arguments: Arguments::new() }
    }
}

impl Destination {
    /// The name of the queue or exchange.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Queue(name) | Self::Exchange(name) => name,
        }
    }
}

#[cfg(test)]
mod tests;
