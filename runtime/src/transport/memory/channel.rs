//! The channels of a connection to the memory broker.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use smol_str::SmolStr;
use tokio::sync::mpsc;

use super::{
    connection::Open,
    shared::Event,
    state::{self, ChannelId, ConsumerId},
};
use crate::{
    envelope::{HeaderValue, Headers, Message, message::SHORT_STRING},
    transport::{Confirm, ConsumeChannel, Delivery, PublishChannel, Returned, Settlement, TransportError},
};

pub(super) struct Publishing {
    connection: Arc<Open>,
    /// Cleared when a refusal closed it.
    open: bool,
}

impl Publishing {
    pub(super) fn new(connection: Arc<Open>) -> Self {
        Self { connection, open: true }
    }

    fn publish(&mut self, message: &Message, mandatory: bool) -> Result<Confirm, TransportError> {
        self.connection.check()?;
        if !self.open {
            return Err(TransportError::lost("the channel is gone"));
        }
        if let Some(text) = too_long(message) {
            let beginning = text.get(..60).unwrap_or_default();
            let text = format!("`{beginning}…` is longer than the 255 bytes that AMQP has for it");
            return Err(TransportError::Unwritable { text });
        }
        let published = self.connection.shared.with(|state, now| state.publish(message.clone(), mandatory, now));
        let answer = match published {
            Ok(published) => {
                let returned = published.returned.then(|| Returned {
                    message_id: message.properties.message_id.clone(),
                    exchange: message.exchange.clone(),
                    routing_key: message.routing_key.clone(),
                });
                Ok((published.confirmed, returned))
            }
            // As RabbitMQ says it: the message is written, and its confirm is the bad news.
            Err(refusal) => {
                self.open = false;
                Err(self.connection.refused(&refusal))
            }
        };
        Ok(Confirm::ready(answer))
    }
}

/// The first of a message's names and short texts that is longer than AMQP has room for.
fn too_long(message: &Message) -> Option<&str> {
    fn name(table: &Headers) -> Option<&str> {
        table
            .iter()
            .find_map(|(name, value)| Some(&**name).filter(|name| name.len() > SHORT_STRING).or_else(|| within(value)))
    }
    fn within(value: &HeaderValue) -> Option<&str> {
        match value {
            HeaderValue::Table(table) => name(table),
            HeaderValue::Array(values) => values.iter().find_map(within),
            _ => None,
        }
    }
    let texts = message.properties.texts().into_iter().flatten();
    let mut short = [&message.exchange, &message.routing_key].into_iter().chain(texts);
    short.find(|text| text.len() > SHORT_STRING).map(SmolStr::as_str).or_else(|| name(&message.properties.headers))
}

impl PublishChannel for Publishing {
    fn write<'a>(&'a mut self, batch: Vec<(&'a Message, bool)>) -> BoxFuture<'a, Vec<Result<Confirm, TransportError>>> {
        Box::pin(async move {
            let mut written = Vec::with_capacity(batch.len());
            for (message, mandatory) in batch {
                if self.connection.shared.is_full() {
                    tokio::select! {
                        () = self.connection.shared.room() => {}
                        // Then writing says so.
                        () = self.connection.lost() => {}
                    }
                }
                written.push(self.publish(message, mandatory));
            }
            written
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>> {
        Box::pin(async move { self.connection.check() })
    }
}

pub(super) struct Consuming {
    connection: Arc<Open>,
    id: ChannelId,
    queue: String,
    sender: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    consumer: Option<ConsumerId>,
    stopped: bool,
    /// Cleared when a refusal or the end of its consumer closed it.
    open: Arc<AtomicBool>,
    /// The end of the connection.
    lost: BoxFuture<'static, ()>,
}

impl Consuming {
    pub(super) fn new(connection: Arc<Open>, id: ChannelId, queue: String) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (open, lost) = (Arc::new(AtomicBool::new(true)), connection.lost());
        Self { connection, id, queue, sender, events, consumer: None, stopped: false, open, lost }
    }

    fn check(&self) -> Result<(), TransportError> {
        self.connection.check()?;
        if self.open.load(Ordering::Relaxed) { Ok(()) } else { Err(TransportError::lost("the channel is gone")) }
    }

    fn begin(&mut self, prefetch: u16) -> Result<(), TransportError> {
        self.check()?;
        let shared = &self.connection.shared;
        let begun = shared.consume(self.connection.id, self.id, &self.queue, prefetch, self.sender.clone());
        match begun {
            Ok(consumer) => {
                if let Some(old) = self.consumer.replace(consumer) {
                    shared.cancel(old);
                }
                Ok(())
            }
            Err(refusal) => {
                self.open.store(false, Ordering::Relaxed);
                Err(self.connection.refused(&refusal))
            }
        }
    }
}

impl ConsumeChannel for Consuming {
    fn consume(&mut self, prefetch: u16) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async move { self.begin(prefetch) })
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Delivery>, TransportError>> {
        // What a dead channel left in the buffer comes again: it must not run.
        self.check()?;
        if self.stopped {
            // Nothing more is put in.
            return Poll::Ready(match self.events.try_recv() {
                Ok(Event::Delivered(delivery)) => Ok(Some(delivery)),
                _ => Ok(None),
            });
        }
        if self.lost.as_mut().poll(context).is_ready() {
            return Poll::Ready(self.check().map(|()| None));
        }
        Poll::Ready(match ready!(self.events.poll_recv(context)) {
            Some(Event::Delivered(delivery)) => Ok(Some(delivery)),
            Some(Event::Cancelled) | None => {
                self.open.store(false, Ordering::Relaxed);
                Err(TransportError::lost("the broker cancelled the consumer: its queue was deleted"))
            }
        })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> BoxFuture<'static, Result<(), TransportError>> {
        let (connection, id, open) = (Arc::clone(&self.connection), self.id, Arc::clone(&self.open));
        Box::pin(async move {
            connection.check()?;
            for settlement in settlements {
                let settlement = settled_by(settlement);
                let settled = connection.shared.with(|state, now| state.settle(id, settlement, now));
                if let Err(refusal) = settled {
                    open.store(false, Ordering::Relaxed);
                    connection.shared.with(|state, now| state.close_channel(id, now));
                    return Err(connection.refused(&refusal));
                }
            }
            Ok(())
        })
    }

    fn is_open(&self) -> bool {
        self.check().is_ok()
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async move {
            self.check()?;
            self.stopped = true;
            if let Some(consumer) = self.consumer.take() {
                self.connection.shared.cancel(consumer);
            }
            Ok(())
        })
    }

    fn prove(&self) -> BoxFuture<'_, Result<(), TransportError>> {
        // What is settled is settled.
        Box::pin(std::future::ready(self.check()))
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>> {
        let closed = self.check();
        drop(self);
        Box::pin(std::future::ready(closed))
    }
}

fn settled_by(settlement: Settlement) -> state::Settlement {
    match settlement {
        Settlement::Ack(tag) => state::Settlement::Ack { tag, multiple: false },
        Settlement::AckUpTo(tag) => state::Settlement::Ack { tag, multiple: true },
        Settlement::Requeue(tag) => state::Settlement::Nack { tag, multiple: false, requeue: true },
        Settlement::Reject(tag) => state::Settlement::Nack { tag, multiple: false, requeue: false },
    }
}

/// Whatever it holds goes back, however it ends.
impl Drop for Consuming {
    fn drop(&mut self) {
        let shared = &self.connection.shared;
        shared.with(|state, now| state.close_channel(self.id, now));
        if let Some(consumer) = self.consumer {
            shared.forget(consumer);
        }
    }
}
