//! Why an event was not published.

use std::time::Duration;

use crate::{
    event::{EncodeError, InvalidEntry, InvalidEventName},
    time::InvalidDuration,
};

/// Why an event was not published, or why nobody can say whether it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// serde cannot write the event as JSON. Nothing was sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A dynamic event's name breaks the rules of names. Nothing was sent.
    #[error(transparent)]
    Name(#[from] InvalidEventName),
    /// An entry of the user's own has a name that cannot be used. Nothing was sent.
    #[error(transparent)]
    Entry(#[from] InvalidEntry),
    /// The body is larger than the service sends. Nothing was sent.
    #[error(
        "event `{event}` has {size} bytes, more than the limit of {limit}; raise it with `Service::body_limit`, or send a reference instead of the data"
    )]
    TooLarge {
        /// The event's name.
        event: String,
        /// The body's size in bytes.
        size: usize,
        /// The service's limit in bytes.
        limit: usize,
    },
    /// Properties and headers take more than a frame. Nothing was sent.
    #[error("event `{event}` has headers that are {excess} bytes too long for a frame; put them into its data")]
    HeadersTooLarge {
        /// The event's name.
        event: String,
        /// By how many bytes they are too long.
        excess: usize,
    },
    /// The delay is no length of time. Nothing was sent.
    #[error("event `{event}` is to wait, but {reason}")]
    Delay {
        /// The event's name.
        event: String,
        /// What is wrong with it.
        reason: InvalidDuration,
    },
    /// The delay is longer than the service's delay ladder. Nothing was sent.
    #[error(
        "event `{event}` is to wait {delay:?}, but the service's delay ladder holds {longest:?} at most; raise it with `Service::schedules_up_to`"
    )]
    TooFarAhead {
        /// The event's name.
        event: String,
        /// The delay that was asked for.
        delay: Duration,
        /// The longest delay that the ladder holds.
        longest: Duration,
    },
    /// No queue is bound for the event; only with [`Unrouted::Fail`](crate::Unrouted).
    #[error(
        "event `{event}` reached no queue: nothing is bound to exchange `{exchange}` for it; start its subscriber once, or `declare` it"
    )]
    Unrouted {
        /// The event's name.
        event: String,
        /// The exchange that it was sent to.
        exchange: String,
    },
    /// A queue that it was routed to would not store it, again and again; other queues may have stored it.
    #[error(
        "event `{event}` was not stored by every queue that is bound for it ({tries} tries): one is full or has no leader"
    )]
    Nacked {
        /// The event's name.
        event: String,
        /// How often it was sent.
        tries: u32,
    },
    /// The broker will never take it.
    #[error("event `{event}` was refused by RabbitMQ: {code} {text}")]
    Refused {
        /// The event's name.
        event: String,
        /// AMQP's reply code.
        code: u16,
        /// What the broker said.
        text: String,
    },
    /// A property or a header cannot be written as AMQP. Nothing was sent.
    #[error("event `{event}` cannot be written as AMQP: {text}")]
    Unwritable {
        /// The event's name.
        event: String,
        /// What is wrong with it.
        text: String,
    },
    /// It was not confirmed in time. Whether it was stored is unknown: it may still arrive. Publishing it again with the
    /// same id is safe where receivers drop copies.
    #[error("event `{event}` was not confirmed within {after:?}; it may still arrive")]
    TimedOut {
        /// The event's name.
        event: String,
        /// The publish timeout.
        after: Duration,
    },
    /// The service has shut down. Whether an event that was being sent arrived is unknown.
    #[error("event `{event}` was not published: the service has shut down")]
    Closed {
        /// The event's name.
        event: String,
    },
}

impl PublishError {
    /// Whether the same may succeed later: the broker was away, slow or full, and nothing is wrong with the event itself.
    /// An HTTP route answers 503 then.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Nacked { .. } | Self::TimedOut { .. } | Self::Closed { .. } | Self::Unrouted { .. })
    }
}

/// Why not all of many events were published.
#[derive(Debug, thiserror::Error)]
#[error("{} of the {sent} events sent were not published, the first because: {first}", failed.len())]
pub struct PublishAllError {
    /// How many events were taken from the iterator; those behind them were not sent.
    pub sent: usize,
    /// The positions, from 0, of those that failed. The others are confirmed.
    pub failed: Vec<usize>,
    /// The error of the first that failed.
    #[source]
    pub first: PublishError,
}
