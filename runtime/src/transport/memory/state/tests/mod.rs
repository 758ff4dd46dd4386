//! The state machine, driven by hand. What RabbitMQ 4.0.5 was seen to do says "measured"; all else follows its code or
//! its documentation.

mod at_least_once;
mod circles;
mod consuming;
mod counts;
mod dead_letters;
mod declaring;
mod ladder;
mod lengths;
mod lifetimes;
mod positions;
mod publishing;
mod random;
mod routing;
mod single_active;
mod sizes;
mod time_to_live;

use std::time::{Duration, SystemTime};

use super::{
    ChannelId, ConnectionId, ConsumerId, Effect, Published, QueueDeclaration, QueueDeclared, Refusal, Settlement, State,
};
use crate::{
    envelope::{HeaderValue, Message, Properties},
    topology::{Argument, Arguments, Binding, Destination, Exchange, ExchangeKind},
    transport::{Confirmed, Delivery},
};

/// Who does what no other is named for.
const US: ConnectionId = ConnectionId(1);
/// Where `get` takes messages to.
const CHANNEL: ChannelId = ChannelId(1);

/// The broker and its clock.
struct Broker {
    state: State,
    now: SystemTime,
}

/// A delivery in short: consumer, tag, body, and whether it is said to be another one.
type Given = (u64, u64, String, bool);

impl Broker {
    fn new() -> Self {
        Self { state: State::default(), now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) }
    }

    #[track_caller]
    fn quorum(&mut self, name: &str, more: &[(&str, Argument)]) {
        let mut arguments = arguments(more);
        arguments.insert("x-queue-type".to_owned(), Argument::from("quorum"));
        self.declare(QueueDeclaration { arguments, ..declaration(name) }).unwrap();
    }

    #[track_caller]
    fn classic(&mut self, name: &str, more: &[(&str, Argument)]) {
        self.declare(QueueDeclaration { arguments: arguments(more), ..declaration(name) }).unwrap();
    }

    /// A queue of either type.
    #[track_caller]
    fn queue(&mut self, quorum: bool, name: &str, more: &[(&str, Argument)]) {
        if quorum {
            self.quorum(name, more);
        } else {
            self.classic(name, more);
        }
    }

    fn declare(&mut self, declaration: QueueDeclaration) -> Result<QueueDeclared, Refusal> {
        self.state.declare_queue(declaration, self.now)
    }

    #[track_caller]
    fn exchange(&mut self, name: &str, kind: ExchangeKind, more: &[(&str, Argument)]) {
        let exchange = Exchange { arguments: arguments(more), ..Exchange::named(name, kind) };
        self.state.declare_exchange(&exchange, false).unwrap();
    }

    /// Binds a queue, or an exchange if the destination begins with `>`.
    #[track_caller]
    fn bind(&mut self, source: &str, key: &str, destination: &str) {
        self.state.bind(&binding(source, key, destination), US).unwrap();
    }

    fn publish(&mut self, exchange: &str, key: &str, body: &str, properties: Properties) -> Result<Published, Refusal> {
        let message =
            Message { exchange: exchange.into(), routing_key: key.into(), properties, body: body.to_owned().into() };
        self.state.publish(message, true, self.now)
    }

    /// Publishes to the queue by its name; true if all that should store it did.
    #[track_caller]
    fn send(&mut self, queue: &str, body: &str) -> bool {
        let published = self.publish("", queue, body, Properties::default()).unwrap();
        assert!(!published.returned, "{queue} is not there");
        matches!(published.confirmed, Confirmed::Ack)
    }

    #[track_caller]
    fn send_all(&mut self, queue: &str, bodies: &[&str]) {
        for body in bodies {
            assert!(self.send(queue, body));
        }
    }

    /// Adds a consumer on a channel of its own with the same number.
    #[track_caller]
    fn consume(&mut self, queue: &str, consumer: u64, prefetch: u16) {
        self.state.consume(ChannelId(consumer), US, queue, ConsumerId(consumer), prefetch, self.now).unwrap();
    }

    /// What consumers got since the last time.
    #[track_caller]
    fn given(&mut self) -> Vec<Given> {
        let effects = self.state.take_effects().into_iter();
        effects
            .map(|effect| match effect {
                Effect::Deliver { consumer, delivery } => {
                    (consumer.0, delivery.tag, body(&delivery), delivery.redelivered)
                }
                Effect::Cancelled { consumer } => panic!("{consumer:?} was cancelled"),
            })
            .collect()
    }

    /// The bodies that consumers got since the last time.
    #[track_caller]
    fn bodies(&mut self) -> Vec<String> {
        self.given().into_iter().map(|(_, _, body, _)| body).collect()
    }

    fn get(&mut self, queue: &str) -> Option<Delivery> {
        self.state.get(CHANNEL, US, queue, self.now).unwrap()
    }

    /// Takes all that a queue has and acknowledges it.
    fn drain(&mut self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(delivery) = self.get(queue) {
            bodies.push(body(&delivery));
            self.ack(CHANNEL, delivery.tag);
        }
        bodies
    }

    #[track_caller]
    fn ack(&mut self, channel: ChannelId, tag: u64) {
        self.state.settle(channel, Settlement::Ack { tag, multiple: false }, self.now).unwrap();
    }

    #[track_caller]
    fn reject(&mut self, channel: ChannelId, tag: u64) {
        let settlement = Settlement::Nack { tag, multiple: false, requeue: false };
        self.state.settle(channel, settlement, self.now).unwrap();
    }

    #[track_caller]
    fn requeue(&mut self, channel: ChannelId, tag: u64) {
        let settlement = Settlement::Nack { tag, multiple: false, requeue: true };
        self.state.settle(channel, settlement, self.now).unwrap();
    }

    /// Lets time pass.
    fn pass(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.state.advance(self.now);
    }

    /// The messages that nobody has and those that somebody has.
    #[track_caller]
    fn counts(&self, queue: &str) -> (usize, usize) {
        let info = self.state.queue(queue).unwrap();
        (info.ready, info.unacked)
    }

    fn lost(&self) -> u64 {
        self.state.lost().values().sum()
    }
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.body.to_vec()).unwrap()
}

fn arguments(list: &[(&str, Argument)]) -> Arguments {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Arguments that send the dead to the default exchange under this key.
fn dead_to(key: &str) -> [(&'static str, Argument); 2] {
    [("x-dead-letter-exchange", Argument::from("")), ("x-dead-letter-routing-key", Argument::from(key))]
}

fn declaration(name: &str) -> QueueDeclaration {
    QueueDeclaration {
        name: name.to_owned(),
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::new(),
        passive: false,
        connection: US,
    }
}

fn binding(source: &str, key: &str, destination: &str) -> Binding {
    let destination = match destination.strip_prefix('>') {
        Some(exchange) => Destination::Exchange(exchange.to_owned()),
        None => Destination::Queue(destination.to_owned()),
    };
    Binding { source: source.to_owned(), destination, routing_key: key.to_owned(), arguments: Arguments::new() }
}

fn header(delivery: &Delivery, name: &str) -> Option<HeaderValue> {
    delivery.message.properties.headers.get(name).cloned()
}

/// A code and a text.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    let refusal = result.unwrap_err();
    format!("{} {}", refusal.code, refusal.text)
}
