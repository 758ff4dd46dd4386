//! A topology, brought about on a broker or looked for there.
//!
//! Every question is asked on a channel that may be lost by the answer: the broker closes the channel whenever it says no.

use std::time::Duration;

use lapin::{
    Channel,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};

use super::{Connection, connection::answered, convert};
use crate::{
    topology::{Arguments, Binding, Destination, Exchange, ExchangeKind, Queue, Topology, TopologyMode},
    transport::{
        TransportError, Usage,
        bring_about::{self, Objects},
    },
};

/// How long RabbitMQ may be silent when it is asked for a queue that is there. 4.0 looks long for one whose node is down.
const SILENT: Duration = Duration::from_secs(5);

pub(super) async fn declare(
    connection: &Connection,
    topology: &Topology,
    mode: TopologyMode,
) -> Result<(), TransportError> {
    if mode == TopologyMode::Assume {
        return Ok(());
    }
    let mut asking = Asking::new(connection).await?;
    let declared = bring_about::declare(&mut asking, topology, mode).await;
    asking.done(declared).await
}

pub(super) async fn exclusive(connection: &Connection, bindings: &[Binding]) -> Result<String, TransportError> {
    let mut asking = Asking::new(connection).await?;
    let queue = bring_about::exclusive(&mut asking, bindings).await;
    asking.done(queue).await
}

pub(super) async fn usage(connection: &Connection, queue: &str) -> Result<Usage, TransportError> {
    let asking = Asking::new(connection).await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = asking.channel.queue_declare(convert::short(queue)?, options, FieldTable::default());
    let usage = answered(connection.clock(), "looking at a queue", asked).await;
    let usage =
        usage.map(|queue| Usage { ready: queue.message_count().into(), consumers: queue.consumer_count().into() });
    asking.done(usage).await
}

/// A channel to ask by, replaced when an answer has closed it.
pub(super) struct Asking<'a> {
    connection: &'a Connection,
    pub(super) channel: Channel,
}

impl Objects for Asking<'_> {
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
        let clock = self.connection.clock();
        let answer = tokio::select! {
            biased;
            answer = answered(clock, "declaring a queue", answer) => answer.map(drop),
            () = clock.sleep(SILENT), if passive => Err(TransportError::Away {
                reason: format!("no answer within {} s: its node may be away", SILENT.as_secs()),
            }),
        };
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
        self.refreshed(answer).await
    }

    async fn own_queue(&mut self, arguments: &Arguments) -> Result<String, TransportError> {
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let asked = self.channel.queue_declare("".into(), options, convert::arguments(arguments)?);
        let answer = answered(self.connection.clock(), "declaring a queue", asked).await;
        self.refreshed(answer.map(|queue| queue.name().to_string())).await
    }
}

impl<'a> Asking<'a> {
    pub(super) async fn new(connection: &'a Connection) -> Result<Self, TransportError> {
        Ok(Self { connection, channel: connection.channel().await? })
    }

    async fn refreshed<T>(&mut self, answer: Result<T, TransportError>) -> Result<T, TransportError> {
        let closes = matches!(answer, Err(TransportError::Refused { .. } | TransportError::Away { .. }));
        if closes && self.connection.is_open() {
            self.channel = self.connection.channel().await?;
        }
        answer
    }

    /// Closes, and gives what was asked for.
    pub(super) async fn done<T>(self, answer: Result<T, TransportError>) -> Result<T, TransportError> {
        // On a lost connection nobody answers.
        if self.channel.status().connected() && !matches!(answer, Err(TransportError::Lost { .. })) {
            let closing = self.channel.close(200, "OK".into());
            // One that does not close goes with its connection.
            let _ = answered(self.connection.clock(), "closing a channel", closing).await;
        }
        answer
    }
}
