//! Why an event was not published.

use std::time::Duration;

use super::Obstacle;
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
        "event `{event}` reached no queue: nothing is bound to exchange `{exchange}` for it; start its subscriber once, or `declare` it{}", doubt(*in_doubt)
    )]
    Unrouted {
        /// The event's name.
        event: String,
        /// The exchange that it was sent to.
        exchange: String,
        /// Whether it was sent before, on a channel that was lost without an answer: it may have arrived by that.
        in_doubt: bool,
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
    #[error("event `{event}` was refused by RabbitMQ: {code} {text}{}", doubt(*in_doubt))]
    Refused {
        /// The event's name.
        event: String,
        /// AMQP's reply code.
        code: u16,
        /// What the broker said.
        text: String,
        /// Whether it was sent before, on a channel that was lost without an answer: it may have arrived by that.
        in_doubt: bool,
    },
    /// A property or a header cannot be written as AMQP. Nothing was sent.
    #[error("event `{event}` cannot be written as AMQP: {text}")]
    Unwritable {
        /// The event's name.
        event: String,
        /// What is wrong with it.
        text: String,
    },
    /// It was not sent within the publish timeout, and will not be: certainly not published.
    #[error(
        "event `{event}` was not published and will not be: it could not be sent within {after:?}, because {obstacle}"
    )]
    NeverSent {
        /// The event's name.
        event: String,
        /// The publish timeout.
        after: Duration,
        /// What was in the way when its time was over.
        obstacle: Obstacle,
    },
    /// It was sent, and not confirmed within the publish timeout. Whether it was stored is unknown: it may still arrive.
    #[error("event `{event}` was sent and not confirmed within {after:?}, so it may still arrive: {obstacle}")]
    TimedOut {
        /// The event's name.
        event: String,
        /// The publish timeout.
        after: Duration,
        /// What was in the way when its time was over.
        obstacle: Obstacle,
    },
    /// The service shut down before it was sent: certainly not published.
    #[error("event `{event}` was not published and will not be: the service has shut down")]
    Closed {
        /// The event's name.
        event: String,
    },
    /// It was sent, and the service shut down before its confirm came. Whether it was stored is unknown.
    #[error("event `{event}` was sent and not confirmed before the service shut down, so it may have arrived")]
    CutOff {
        /// The event's name.
        event: String,
    },
}

impl PublishError {
    /// Whether the same may succeed later: the broker was away, slow or full, and nothing is wrong with the event itself.
    /// An HTTP route answers 503 then, else 500.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Nacked { .. }
                | Self::NeverSent { .. }
                | Self::TimedOut { .. }
                | Self::Closed { .. }
                | Self::CutOff { .. }
                | Self::Unrouted { .. }
        )
    }

    /// Whether the event may have arrived all the same, at some or all of its receivers. If not, it certainly did not, and
    /// never will.
    ///
    /// | | what an HTTP route does |
    /// | --- | --- |
    /// | `false` | Nothing was said: undo what the event was to tell of, or try again with any id. |
    /// | `true` | Undo nothing. Keep what the event tells of, and publish it again with the same [id](crate::Publication::id) (a new one would be a second event): receivers drop copies by it. Tell the client that the outcome is unknown, and that sending the same request again is safe. |
    ///
    /// ```
    /// use rabbitry::PublishError;
    ///
    /// /// The status of an answer, and what its body says of the event.
    /// fn answer(error: &PublishError) -> (u16, &'static str) {
    ///     let status = if error.is_temporary() { 503 } else { 500 };
    ///     (status, if error.may_have_arrived() { "unknown" } else { "not published" })
    /// }
    /// ```
    ///
    /// `true` are [`TimedOut`](Self::TimedOut) and [`CutOff`](Self::CutOff), [`Nacked`](Self::Nacked) (one queue refused it,
    /// another may have it), and [`Refused`](Self::Refused) and [`Unrouted`](Self::Unrouted) when an earlier try is
    /// `in_doubt`.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::CutOff { .. } | Self::Nacked { .. } => true,
            Self::Refused { in_doubt, .. } | Self::Unrouted { in_doubt, .. } => *in_doubt,
            Self::Encode(_)
            | Self::Name(_)
            | Self::Entry(_)
            | Self::TooLarge { .. }
            | Self::HeadersTooLarge { .. }
            | Self::Delay { .. }
            | Self::TooFarAhead { .. }
            | Self::Unwritable { .. }
            | Self::NeverSent { .. }
            | Self::Closed { .. } => false,
        }
    }
}

fn doubt(in_doubt: bool) -> &'static str {
    if in_doubt { "; an earlier try of it has no answer and may have arrived" } else { "" }
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
