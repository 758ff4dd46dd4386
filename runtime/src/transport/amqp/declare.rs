//! A topology, brought about on a broker or looked for there.
//!
//! Every question is asked on a channel that may be lost by the answer: the broker closes the channel whenever it says no.

use lapin::{
    Channel,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
};

use super::{Connection, connection::answered, convert};
use crate::{
    topology::{
        Argument, Arguments, Binding, Destination, Exchange, ExchangeKind, Queue, QueueType, Topology, TopologyMode,
    },
    transport::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, TransportError},
};

/// How long a queue of a connection's own lives without a consumer, in ms.
const UNUSED_MS: i64 = 60_000;

pub(super) async fn declare(
    connection: &Connection,
    topology: &Topology,
    mode: TopologyMode,
) -> Result<(), TransportError> {
    if mode == TopologyMode::Assume {
        return Ok(());
    }
    let mut asking = Asking { connection, channel: connection.channel().await? };
    // What is refused is no reason to leave out the rest: a queue may be gone, too.
    let mut refused = None;
    let mut note = |answer: Result<(), TransportError>| match answer {
        // Some refusals end the connection.
        Err(lost @ TransportError::Lost { .. }) => Err(refused.take().unwrap_or(lost)),
        Err(error) => {
            refused.get_or_insert(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    };
    for exchange in &topology.exchanges {
        let answer = asking.bring_about(exchange, mode).await;
        note(explained(answer, &format!("exchange `{}`", exchange.name)))?;
    }
    for queue in &topology.queues {
        let passive = mode == TopologyMode::Verify || queue.kind == QueueType::Existing;
        let answer = asking.queue(queue, passive).await;
        note(explained(answer, &format!("queue `{}`", queue.name)))?;
    }
    // AMQP has no way to ask for a binding.
    if mode == TopologyMode::Declare {
        for binding in &topology.bindings {
            note(asking.bind(binding).await)?;
        }
    }
    asking.close().await;
    refused.map_or(Ok(()), Err)
}

pub(super) async fn exclusive(connection: &Connection, bindings: &[Binding]) -> Result<String, TransportError> {
    let mut asking = Asking { connection, channel: connection.channel().await? };
    // It goes with its consumer, so that none fills unread when only the channel was lost; or if it never gets one.
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let arguments = Arguments::from([("x-expires".to_owned(), Argument::Integer(UNUSED_MS))]);
    let asked = asking.channel.queue_declare("".into(), options, convert::arguments(&arguments)?);
    let queue = answered(connection.clock(), "declaring a queue", asked).await?.name().to_string();
    for binding in bindings {
        asking.bind(&Binding { destination: Destination::Queue(queue.clone()), ..binding.clone() }).await?;
    }
    asking.close().await;
    Ok(queue)
}

/// A channel to ask by, replaced when an answer has closed it.
struct Asking<'a> {
    connection: &'a Connection,
    channel: Channel,
}

impl Asking<'_> {
    /// An exchange that the user names is taken as it is, if it is there.
    async fn bring_about(&mut self, exchange: &Exchange, mode: TopologyMode) -> Result<(), TransportError> {
        if mode == TopologyMode::Verify || exchange.joined {
            match self.exchange(exchange, true).await {
                Err(TransportError::Refused { code: NOT_FOUND, .. }) if mode == TopologyMode::Declare => {}
                answer => return answer,
            }
        }
        self.exchange(exchange, false).await
    }

    async fn exchange(&mut self, exchange: &Exchange, passive: bool) -> Result<(), TransportError> {
        let kind = match exchange.kind {
            ExchangeKind::Topic => lapin::ExchangeKind::Topic,
            ExchangeKind::Direct => lapin::ExchangeKind::Direct,
            ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
            ExchangeKind::Headers => lapin::ExchangeKind::Headers,
        };
        let options = ExchangeDeclareOptions { passive, durable: true, ..ExchangeDeclareOptions::default() };
        let (name, arguments) = (convert::short(&exchange.name)?, convert::arguments(&exchange.arguments)?);
        let answer = self.channel.exchange_declare(name, kind, options, arguments);
        let answer = answered(self.connection.clock(), "declaring an exchange", answer).await;
        self.refreshed(answer).await
    }

    async fn queue(&mut self, queue: &Queue, passive: bool) -> Result<(), TransportError> {
        let options = QueueDeclareOptions { passive, durable: true, ..QueueDeclareOptions::default() };
        let (name, arguments) = (convert::short(&queue.name)?, convert::arguments(&queue.arguments)?);
        let answer = self.channel.queue_declare(name, options, arguments);
        let answer = answered(self.connection.clock(), "declaring a queue", answer).await.map(drop);
        self.refreshed(answer).await
    }

    async fn bind(&mut self, binding: &Binding) -> Result<(), TransportError> {
        let source = convert::short(&binding.source)?;
        let key = convert::short(&binding.routing_key)?;
        let arguments = convert::arguments(&binding.arguments)?;
        let clock = self.connection.clock();
        let answer = match &binding.destination {
            Destination::Queue(queue) => {
                let asked = self.channel.queue_bind(
                    convert::short(queue)?,
                    source,
                    key,
                    QueueBindOptions::default(),
                    arguments,
                );
                answered(clock, "binding a queue", asked).await
            }
            Destination::Exchange(exchange) => {
                let options = ExchangeBindOptions::default();
                let asked = self.channel.exchange_bind(convert::short(exchange)?, source, key, options, arguments);
                answered(clock, "binding an exchange", asked).await
            }
        };
        let what = format!("binding of `{}` to exchange `{}`", binding.destination.name(), binding.source);
        explained(self.refreshed(answer).await, &what)
    }

    async fn refreshed(&mut self, answer: Result<(), TransportError>) -> Result<(), TransportError> {
        if matches!(answer, Err(TransportError::Refused { .. })) && self.connection.is_open() {
            self.channel = self.connection.channel().await?;
        }
        answer
    }

    async fn close(self) {
        let closing = self.channel.close(200, "OK".into());
        // One that does not close goes with its connection.
        let _ = answered(self.connection.clock(), "closing a channel", closing).await;
    }
}

/// Says in the error what it was about and what to do.
fn explained(answer: Result<(), TransportError>, what: &str) -> Result<(), TransportError> {
    answer.map_err(|error| match error {
        TransportError::Refused { code, text } => {
            let cure = match code {
                PRECONDITION_FAILED => {
                    "it is there with other arguments than the plan's. Give the plan's object another name, or remove the old one when it is empty and start again"
                }
                NOT_FOUND => "it is not there. Create it, or start once with TopologyMode::Declare",
                ACCESS_REFUSED => {
                    "the user may not configure it. Grant the permission, or have it declared by another user and start with TopologyMode::Verify"
                }
                _ => "see RabbitMQ's log",
            };
            TransportError::Refused { code, text: format!("{what}: {text} — {cure}") }
        }
        other => other,
    })
}
