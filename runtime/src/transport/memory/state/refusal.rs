//! How the broker says no, in RabbitMQ's words.

use crate::transport::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED};

/// AMQP's code for what another connection holds.
const RESOURCE_LOCKED: u16 = 405;
/// AMQP's code for what does not fit a frame.
const FRAME_ERROR: u16 = 501;
/// AMQP's code for what the rules forbid.
const NOT_ALLOWED: u16 = crate::transport::NOT_ALLOWED;
/// AMQP's code for what the broker cannot do.
const NOT_IMPLEMENTED: u16 = 540;

/// What the broker did not do, and what it closes for it. Closing is left to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    /// As RabbitMQ's, which begins with the code's name.
    pub(crate) text: String,
    pub(crate) ends: Ends,
}

/// What a refusal closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Channel,
    Connection,
}

impl Refusal {
    fn channel(code: u16, name: &str, text: &str) -> Self {
        Self { code, text: format!("{name} - {text}"), ends: Ends::Channel }
    }

    fn connection(code: u16, name: &str, text: &str) -> Self {
        Self { ends: Ends::Connection, ..Self::channel(code, name, text) }
    }

    pub(super) fn precondition_failed(text: &str) -> Self {
        Self::channel(PRECONDITION_FAILED, "PRECONDITION_FAILED", text)
    }

    pub(super) fn access_refused(text: &str) -> Self {
        Self::channel(ACCESS_REFUSED, "ACCESS_REFUSED", text)
    }

    pub(super) fn no_queue(name: &str) -> Self {
        Self::channel(NOT_FOUND, "NOT_FOUND", &format!("no {}", queue(name)))
    }

    pub(super) fn no_exchange(name: &str) -> Self {
        Self::channel(NOT_FOUND, "NOT_FOUND", &format!("no {}", exchange(name)))
    }

    pub(super) fn default_exchange() -> Self {
        Self::access_refused("operation not permitted on the default exchange")
    }

    pub(super) fn locked(name: &str) -> Self {
        let text = format!(
            "cannot obtain exclusive access to locked {}. It could be originally declared on another connection or the \
             exclusive property value does not match that of the original declaration.",
            queue(name)
        );
        Self::channel(RESOURCE_LOCKED, "RESOURCE_LOCKED", &text)
    }

    /// A quorum queue with a single active consumer gives nothing to those who ask.
    pub(super) fn not_to_be_got_from(name: &str) -> Self {
        let text = format!(
            "cannot obtain access to locked {}. basic.get operations are not supported by quorum queues with single \
             active consumer",
            queue(name)
        );
        Self::channel(RESOURCE_LOCKED, "RESOURCE_LOCKED", &text)
    }

    pub(super) fn unknown_delivery_tag(tag: u64) -> Self {
        Self::precondition_failed(&format!("unknown delivery tag {tag}"))
    }

    pub(super) fn consumer_reused(consumer: u64) -> Self {
        Self::connection(NOT_ALLOWED, "NOT_ALLOWED", &format!("attempt to reuse consumer tag '{consumer}'"))
    }

    /// Clients refuse to write such a name; a broker that got it could not read the frame.
    pub(super) fn name_too_long() -> Self {
        Self::connection(FRAME_ERROR, "FRAME_ERROR", "a name has more than 255 bytes")
    }

    pub(super) fn no_streams() -> Self {
        Self::connection(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "the memory broker has no streams")
    }
}

/// A queue as RabbitMQ's texts name it. There is one virtual host.
pub(super) fn queue(name: &str) -> String {
    format!("queue '{name}' in vhost '/'")
}

/// An exchange as RabbitMQ's texts name it.
pub(super) fn exchange(name: &str) -> String {
    format!("exchange '{name}' in vhost '/'")
}
