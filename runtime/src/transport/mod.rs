//! The seam between rabbitry and a broker. What is above knows nothing of a client library, and not which broker answers;
//! what is below knows nothing of handlers.
//!
//! Services use it by way of [`Broker`]. Who writes a transport of their own implements the traits of this module and runs
//! the conformance suite against it.

pub(crate) mod amqp;
mod backoff;
mod bring_about;
mod broker;
mod confirm;
mod error;
mod lifecycle;
mod link;
#[cfg(feature = "memory")]
pub(crate) mod memory;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
pub use smol_str::SmolStr;

pub(crate) use backoff::Backoff;
pub use broker::Broker;
pub(crate) use broker::Login;
pub use confirm::Confirm;
pub use error::TransportError;
pub(crate) use error::{ACCESS_REFUSED, NOT_ALLOWED, NOT_FOUND, PRECONDITION_FAILED};
pub use lifecycle::Lifecycle;
pub(crate) use lifecycle::{Life, Loss, Shown, Subject};
pub(crate) use link::Link;

pub use crate::envelope::{HeaderValue, Headers, Message, Properties};
use crate::{
    time::Clock,
    topology::{Binding, Topology, TopologyMode},
};

/// A way to a broker.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Where the broker is, for logs and errors: without a password.
    fn address(&self) -> String;

    /// Makes a connection; `name` is what an operator sees in the broker's list. Gives up after a limited time, and never
    /// tries again by itself.
    ///
    /// # Errors
    /// [`Lost`](TransportError::Lost) when the broker cannot be reached, [`Refused`](TransportError::Refused) when it says no.
    fn connect<'a>(
        &'a self,
        name: &'a str,
        clock: &'a Arc<dyn Clock>,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, TransportError>>;
}

/// A connection: it lives, is blocked, is lost. It never recovers; whoever wants it back makes a new one.
///
/// Every answer that it waits for has a limit of time, after which it is [`Lost`](TransportError::Lost).
pub trait Connection: Send + Sync + 'static {
    /// How it is now.
    fn state(&self) -> ConnectionState;

    /// The node of the broker that it leads to, for logs and health: where a broker has several, or may be reached at several
    /// places, it tells which one this is.
    fn node(&self) -> String;

    /// Ends when the connection is lost; at once if it already is.
    fn lost(&self) -> BoxFuture<'static, ()>;

    /// Ends when the broker takes messages from it, at once if it already does; also when it is lost.
    fn unblocked(&self) -> BoxFuture<'static, ()>;

    /// The largest frame that both sides take, in bytes.
    fn frame_max(&self) -> usize;

    /// Brings a topology about, as the mode says: [`Declare`](TopologyMode::Declare) creates what is missing,
    /// [`Verify`](TopologyMode::Verify) only looks, [`Assume`](TopologyMode::Assume) does nothing. An
    /// [existing](crate::QueueType::Existing) queue and an exchange that the user named are taken as they are. One object that is
    /// refused does not keep the rest from being declared.
    ///
    /// # Errors
    /// The first refusal, else what is [`Away`](TransportError::Away): 406 for what is there with other arguments, 404 for what is missing and not to be made, 403 for
    /// a permission.
    fn declare<'a>(&'a self, topology: &'a Topology, mode: TopologyMode) -> BoxFuture<'a, Result<(), TransportError>>;

    /// Makes a classic queue of this connection's own and binds it (the bindings' destinations are ignored). The broker
    /// gives its name, nobody else may use it, and it goes with its consumer or with the connection.
    ///
    /// # Errors
    /// An exchange is missing, or a permission.
    fn declare_exclusive<'a>(&'a self, bindings: &'a [Binding]) -> BoxFuture<'a, Result<String, TransportError>>;

    /// Removes a binding. One that is not there is no mistake.
    ///
    /// # Errors
    /// 403 for a permission.
    fn unbind<'a>(&'a self, binding: &'a Binding) -> BoxFuture<'a, Result<(), TransportError>>;

    /// Removes a queue, whatever it holds and whoever consumes it: look at its [`usage`](Self::usage) first. Its bindings go
    /// with it. One that is not there is no mistake.
    ///
    /// # Errors
    /// 403 for a permission, 405 when it is another connection's own.
    fn delete_queue<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<(), TransportError>>;

    /// Removes an exchange, and all bindings from it and to it. One that is not there is no mistake.
    ///
    /// # Errors
    /// 403 for a permission, and for an exchange of the broker's own.
    fn delete_exchange<'a>(&'a self, exchange: &'a str) -> BoxFuture<'a, Result<(), TransportError>>;

    /// How a queue is used now.
    ///
    /// # Errors
    /// 404 when there is no such queue.
    fn usage<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Usage, TransportError>>;

    /// Opens a channel that publishes.
    ///
    /// # Errors
    /// The connection is lost, or has no channel left.
    fn publish_channel(&self) -> BoxFuture<'_, Result<Box<dyn PublishChannel>, TransportError>>;

    /// Opens a channel that consumes one queue, once it is told to.
    ///
    /// # Errors
    /// The connection is lost, or has no channel left.
    fn consume_channel(&self, queue: String) -> BoxFuture<'_, Result<Box<dyn ConsumeChannel>, TransportError>>;

    /// Says goodbye, for a moment at most. Whatever its channels have not acknowledged goes back to the queues.
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl dyn Connection {
    /// How many messages wait in a queue and are not with a consumer: see [`usage`](Connection::usage).
    ///
    /// # Errors
    /// 404 when there is no such queue.
    pub async fn count(&self, queue: &str) -> Result<u64, TransportError> {
        Ok(self.usage(queue).await?.ready)
    }

    /// Whether it can still be used; a blocked one can.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.state(), ConnectionState::Lost(_))
    }
}

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It works.
    Open,
    /// The broker takes nothing from it (a memory or disk alarm), for this reason.
    Blocked(String),
    /// It is gone, for this reason.
    Lost(String),
}

/// How a queue is used, by the broker's own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// How many messages wait in it and are not with a consumer.
    pub ready: u64,
    /// How many consumers it has. To a quorum queue that is whoever may still settle one of its messages: a consumer that was
    /// stopped counts until it has settled all. A classic queue forgets it at once.
    pub consumers: u64,
}

/// A channel that publishes with confirms, used by one task.
pub trait PublishChannel: Send {
    /// Writes messages in their order, and returns when they are written: one result each. A message that is `mandatory`
    /// comes back if no queue is bound for it. One that does not fit AMQP is [`Unwritable`](TransportError::Unwritable),
    /// and the others are written all the same.
    fn write<'a>(&'a mut self, batch: Vec<(&'a Message, bool)>) -> BoxFuture<'a, Vec<Result<Confirm, TransportError>>>;

    /// Closes. Nothing may be on its way.
    ///
    /// # Errors
    /// The channel was lost before.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>>;
}

/// What the broker said of one message, and a message that came back.
pub type Answer = Result<(Confirmed, Option<Returned>), TransportError>;

/// What the broker says of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It is stored in every queue that it was routed to.
    Ack,
    /// At least one queue did not store it; others may have.
    Nack,
}

/// The message id, the exchange and the routing key of a message that no queue was bound for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Returned {
    /// Its property `message_id`.
    pub message_id: Option<SmolStr>,
    /// The exchange that it was published to.
    pub exchange: SmolStr,
    /// Its routing key.
    pub routing_key: SmolStr,
}

/// A channel that consumes one queue, used by one task.
pub trait ConsumeChannel: Send {
    /// Begins to receive with at most so many deliveries unsettled, or goes on with another number, counted anew: what the
    /// channel had before is not among them. It is not lost by that either, and comes first.
    ///
    /// # Errors
    /// 404 when there is no such queue, 403 when it may not be read, 405 when it is another connection's own.
    fn consume(&mut self, prefetch: u16) -> BoxFuture<'_, Result<(), TransportError>>;

    /// The next delivery, in the order of the queue; `None`, again and again, once the channel was
    /// [stopped](Self::stop) and all is taken. Tags are 1, 2, 3, … on each channel.
    ///
    /// # Errors
    /// Nothing will come by this channel any more: it or its connection is lost, or the broker cancelled the consumer
    /// because its queue was deleted. What was delivered and lies in a buffer is not given out then: it comes again.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Delivery>, TransportError>>;

    /// Settles deliveries, in this order. When it returns, all is written; there is no reply that would prove more, and
    /// what a channel had settled when it was lost may come again.
    ///
    /// # Errors
    /// The channel is lost.
    fn settle(&self, settlements: Vec<Settlement>) -> BoxFuture<'static, Result<(), TransportError>>;

    /// Whether it can still be used.
    fn is_open(&self) -> bool;

    /// Has the broker send no more. What it has sent already still comes out. When it returns, every settlement written
    /// before is proven to be taken.
    ///
    /// # Errors
    /// The channel is lost.
    fn stop(&mut self) -> BoxFuture<'_, Result<(), TransportError>>;

    /// The same proof for settlements written after it was [stopped](Self::stop). It may take a message from the queue
    /// and give it back when the channel closes.
    ///
    /// # Errors
    /// The channel is lost.
    fn prove(&self) -> BoxFuture<'_, Result<(), TransportError>>;

    /// Closes. What was delivered and not settled goes back to its place in the queue.
    ///
    /// # Errors
    /// The channel was lost before.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>>;
}

impl dyn ConsumeChannel {
    /// The next delivery, awaited: see [`poll_next`](ConsumeChannel::poll_next). Cancel safe.
    ///
    /// # Errors
    /// Those of [`poll_next`](ConsumeChannel::poll_next).
    pub async fn next(&mut self) -> Result<Option<Delivery>, TransportError> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

/// A message from a queue. Its tag means something on the channel that it came by, and nowhere else.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The message, with the exchange and the routing key that it was published with last.
    pub message: Message,
    /// What it is settled by.
    pub tag: u64,
    /// The broker's hint that it was delivered before. Never proof: RabbitMQ 4 carries it over a dead-lettering.
    pub redelivered: bool,
}

/// What becomes of deliveries of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// This one is done.
    Ack(u64),
    /// This one and all below it are done.
    AckUpTo(u64),
    /// This one goes back to its place in the queue, and counts as delivered once more.
    Requeue(u64),
    /// This one is dead-lettered, or dropped where the queue has no dead-letter exchange.
    Reject(u64),
}
