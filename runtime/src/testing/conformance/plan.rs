//! Topologies in few words.

use crate::{
    topology::{
        Argument, Arguments, Binding, Destination, Exchange, ExchangeKind, Queue, QueueType, Topology,
        UNLIMITED_DELIVERIES,
    },
    transport::HeaderValue,
};

/// The two types of queues that are declared.
pub(super) const KINDS: [QueueType; 2] = [QueueType::Quorum, QueueType::Classic];

/// A topology that is being written.
#[derive(Clone, Default)]
pub(super) struct Plan(Topology);

impl From<Plan> for Topology {
    fn from(plan: Plan) -> Self {
        plan.0
    }
}

impl Plan {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A queue. A quorum queue has a limit of deliveries that nobody reaches, unless the arguments say another: without one
    /// RabbitMQ's versions differ.
    pub(super) fn queue(mut self, name: &str, kind: QueueType, given: &[(&str, Argument)]) -> Self {
        let mut arguments = arguments(given);
        if kind == QueueType::Quorum {
            let limit = || Argument::Integer(UNLIMITED_DELIVERIES);
            arguments.entry("x-delivery-limit".to_owned()).or_insert_with(limit);
        }
        self.0.queues.push(Queue::named(name, kind, arguments));
        self
    }

    /// A classic queue without arguments of its own.
    pub(super) fn classic(self, name: &str) -> Self {
        self.queue(name, QueueType::Classic, &[])
    }

    /// A quorum queue that hands on what it gives up at least once: to this exchange, with this routing key.
    pub(super) fn at_least_once(self, name: &str, exchange: &str, key: &str, more: &[(&str, Argument)]) -> Self {
        let arguments = [
            dead_letters_to(exchange, key),
            vec![
                ("x-dead-letter-strategy", Argument::from("at-least-once")),
                ("x-overflow", Argument::from("reject-publish")),
            ],
            more.to_vec(),
        ];
        self.queue(name, QueueType::Quorum, &arguments.concat())
    }

    /// A queue just as it is written.
    pub(super) fn bare_queue(mut self, queue: Queue) -> Self {
        self.0.queues.push(queue);
        self
    }

    pub(super) fn exchange(self, name: &str, kind: ExchangeKind) -> Self {
        self.exchange_with(name, kind, &[])
    }

    pub(super) fn exchange_with(mut self, name: &str, kind: ExchangeKind, given: &[(&str, Argument)]) -> Self {
        self.0.exchanges.push(Exchange { arguments: arguments(given), ..Exchange::of_ours(name, kind) });
        self
    }

    /// An exchange as a user names it.
    pub(super) fn joined(mut self, name: &str, kind: ExchangeKind) -> Self {
        self.0.exchanges.push(Exchange::named(name, kind));
        self
    }

    pub(super) fn bind(self, exchange: &str, queue: &str, key: &str) -> Self {
        self.bind_with(exchange, queue, key, &[])
    }

    pub(super) fn bind_with(mut self, exchange: &str, queue: &str, key: &str, given: &[(&str, Argument)]) -> Self {
        let binding = Binding::new(exchange, Destination::Queue(queue.to_owned()), key);
        self.0.bindings.push(Binding { arguments: arguments(given), ..binding });
        self
    }

    pub(super) fn bind_exchange(mut self, from: &str, to: &str, key: &str) -> Self {
        self.0.bindings.push(Binding::new(from, Destination::Exchange(to.to_owned()), key));
        self
    }
}

pub(super) fn arguments(given: &[(&str, Argument)]) -> Arguments {
    given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// The arguments of a queue whose dead letters go to this exchange with this routing key.
pub(super) fn dead_letters_to<'a>(exchange: &str, key: &str) -> Vec<(&'a str, Argument)> {
    vec![("x-dead-letter-exchange", Argument::from(exchange)), ("x-dead-letter-routing-key", Argument::from(key))]
}

/// A header's text.
pub(super) fn text(text: &str) -> HeaderValue {
    HeaderValue::text(text)
}
