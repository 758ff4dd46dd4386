//! The names of all headers that rabbitry writes or reads.

use std::{fmt, time::SystemTime};

use serde::{Serialize, Serializer};

/// How often the handler has run on this event.
pub(crate) const ATTEMPT: &str = "rabbitry-attempt";
/// Why it was retried or dead-lettered: one word, see [`Reason`](super::Reason).
pub(crate) const REASON: &str = "rabbitry-reason";
/// The error and what caused it, in words.
pub(crate) const ERROR: &str = "rabbitry-error";
/// The service whose handler failed.
pub(crate) const SERVICE: &str = "rabbitry-service";
/// The handler that failed.
pub(crate) const HANDLER: &str = "rabbitry-handler";
/// The queue that the handler listens to.
pub(crate) const QUEUE: &str = "rabbitry-queue";
/// When a handler failed on it for the first time (RFC 3339).
pub(crate) const FIRST_FAILURE: &str = "rabbitry-first-failure";
/// When a handler failed on it last (RFC 3339).
pub(crate) const LAST_FAILURE: &str = "rabbitry-last-failure";
/// What begins the name of whatever a copy could not keep in its place.
pub(crate) const ORIGINAL: &str = "rabbitry-original-";
/// The exchange that it was first sent to.
pub(crate) const ORIGINAL_EXCHANGE: &str = "rabbitry-original-exchange";
/// The routing key that it was first sent with.
pub(crate) const ORIGINAL_ROUTING_KEY: &str = "rabbitry-original-routing-key";
/// Which of the message's own headers a copy, or the way in, had to leave out. Anybody can write it: it is there to be read.
pub(crate) const DROPPED: &str = "rabbitry-dropped-headers";

/// The version of the event's schema, in the format without an envelope.
pub(crate) const VERSION: &str = "rabbitry-version";
/// The event's time to the millisecond (RFC 3339), in the format without an envelope.
pub(crate) const TIME: &str = "rabbitry-time";
/// The id of the event that caused it, in the format without an envelope.
pub(crate) const CAUSATION_ID: &str = "rabbitry-causation-id";
/// The event's key, in the format without an envelope.
pub(crate) const KEY: &str = "rabbitry-key";

/// W3C trace context.
pub(crate) const TRACE_PARENT: &str = "traceparent";
/// W3C trace context.
pub(crate) const TRACE_STATE: &str = "tracestate";

/// More routing keys: the broker acts on it.
pub(crate) const CC: &str = "CC";
/// More routing keys, taken off before delivery: the broker acts on it.
pub(crate) const BCC: &str = "BCC";
/// How often the broker delivered it from this quorum queue before; a hint, since senders can forge it.
pub(crate) const DELIVERY_COUNT: &str = "x-delivery-count";

/// Whether the name is one that a user's own entry cannot have.
pub(crate) fn is_ours_or_the_brokers(name: &str) -> bool {
    name.starts_with("rabbitry-") || is_the_brokers(name) || name == TRACE_PARENT || name == TRACE_STATE
}

/// Whether the broker acts on a header of this name. It tells capitals from small letters, so `X-Tenant` is a sender's own.
pub(crate) fn is_the_brokers(name: &str) -> bool {
    name == CC || name == BCC || name.starts_with("x-")
}

/// A time as our headers and the envelope write it: RFC 3339, UTC, milliseconds.
pub(super) struct Rfc3339(jiff::Timestamp);

impl Rfc3339 {
    /// `None` for what is beyond the year 9999.
    pub(super) fn of(time: SystemTime) -> Option<Self> {
        jiff::Timestamp::try_from(time).ok().map(Self)
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A time as text.
pub(crate) fn format_time(time: SystemTime) -> Option<String> {
    Rfc3339::of(time).map(|time| time.to_string())
}

/// A time as any RFC 3339 writer has it.
pub(crate) fn parse_time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}
