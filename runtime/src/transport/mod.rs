//! The seam between rabbitry and a broker: messages, topologies, deliveries and the errors that can end them.
//! What is above knows nothing of a client library; what is below knows nothing of handlers.

pub(crate) mod amqp;
mod backoff;
mod link;
mod memory;

pub(crate) use backoff::Backoff;
pub(crate) use link::{Link, LinkState};

use crate::envelope::Message;

/// A message from a queue. Its tag means something on the channel that it came by, and nowhere else.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) tag: u64,
    /// The broker's hint that it was delivered before. Never proof: see [`Message`]'s headers for what can be forged.
    pub(crate) redelivered: bool,
}

/// What the broker says of a published message.
#[derive(Debug)]
pub(crate) enum Confirmed {
    /// It is stored in every queue that it was routed to.
    Ack,
    /// At least one queue did not store it; others may have.
    Nack,
}

/// The message id, the exchange and the routing key of a message that no queue was bound for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Returned {
    pub(crate) message_id: Option<String>,
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
}

/// Which of its own tags a channel acknowledges, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// This tag and all below it.
    UpTo(u64),
    /// This tag alone.
    One(u64),
}

/// Why something asked of a broker was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The broker cannot be reached, or the connection or channel is gone: the same may succeed on a new one.
    #[error("{reason}")]
    Lost { reason: String },
    /// The broker answered no, and will again.
    #[error("RabbitMQ refused it: {code} {text}")]
    Refused { code: u16, text: String },
    /// It does not fit AMQP, so it was not even asked.
    #[error("it cannot be written as AMQP: {text}")]
    Unwritable { text: String },
}

impl TransportError {
    pub(crate) fn lost(reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into() }
    }
}

/// AMQP's code for what exists with other arguments, or a message that breaks a rule.
pub(crate) const PRECONDITION_FAILED: u16 = 406;
/// AMQP's code for what does not exist.
pub(crate) const NOT_FOUND: u16 = 404;
/// AMQP's code for what the user may not do.
pub(crate) const ACCESS_REFUSED: u16 = 403;
/// AMQP's code for a virtual host that does not exist or is not the user's.
pub(crate) const NOT_ALLOWED: u16 = 530;
