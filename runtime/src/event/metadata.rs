//! What travels with an event beside its data.

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::Value;
use smol_str::SmolStr;

/// What travels with an event: who said it when, which event caused it, and entries of your own.
///
/// A handler gets it as an argument:
///
/// ```
/// use rabbitry::{Metadata, event, subscribe};
///
/// #[event("order_created")]
/// pub struct OrderCreated {
///     pub order_id: i64,
/// }
///
/// #[subscribe("order_created")]
/// async fn audit(event: OrderCreated, metadata: Metadata) {
///     println!("order {} by {:?}, tenant {:?}", event.order_id, metadata.source(), metadata.get("tenant"));
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    pub(crate) id: Option<SmolStr>,
    pub(crate) source: Option<SmolStr>,
    pub(crate) time: Option<SystemTime>,
    pub(crate) version: Option<u32>,
    pub(crate) correlation_id: Option<SmolStr>,
    pub(crate) causation_id: Option<SmolStr>,
    pub(crate) key: Option<SmolStr>,
    pub(crate) trace_parent: Option<String>,
    pub(crate) trace_state: Option<String>,
    pub(crate) entries: BTreeMap<String, Value>,
}

impl Metadata {
    /// The event's id. Every copy of an event has the same; `None` where a foreign sender gave none, or one of more
    /// than 1 KiB.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The name of the service that said it.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// When it was said, by the sender's clock, to the millisecond.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        self.time
    }

    /// The version of the event's schema that its sender used.
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        self.version
    }

    /// What all events that came of one beginning share: the id of the first of them, unless its sender chose another.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    /// The id of the event whose handler said this one.
    #[must_use]
    pub fn causation_id(&self) -> Option<&str> {
        self.causation_id.as_deref()
    }

    /// The event's `#[key]`, as text.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The W3C `traceparent` that it came with, unless it is longer than 2 KiB.
    #[must_use]
    pub fn trace_parent(&self) -> Option<&str> {
        self.trace_parent.as_deref()
    }

    /// The W3C `tracestate` that it came with, unless it is longer than 2 KiB.
    #[must_use]
    pub fn trace_state(&self) -> Option<&str> {
        self.trace_state.as_deref()
    }

    /// An entry of the sender's own.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.get(name)
    }

    /// All entries of the sender's own, by name.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, Value> {
        &self.entries
    }
}

/// The names in `metadata` that have a meaning of their own.
pub(crate) const RESERVED: [&str; 7] = ["id", "source", "time", "version", "correlationId", "causationId", "key"];

/// Checks the name of an entry of the user's own. It is also a header in the formats without an envelope.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(crate) fn check_entry(name: &str) -> Result<(), InvalidEntry> {
    let reason = if name.is_empty() {
        "is empty"
    } else if name.len() > 128 {
        "is longer than 128 bytes"
    } else if RESERVED.contains(&name) {
        "is one of rabbitry's own; its value is set by the event, the service or the builder"
    } else if name.starts_with("rabbitry-") || name.starts_with("x-") || matches!(name, "CC" | "BCC") {
        "is a header that rabbitry or the broker acts on"
    } else if matches!(name, "traceparent" | "tracestate") {
        "belongs to the trace context"
    } else {
        return Ok(());
    };
    Err(InvalidEntry { name: name.to_owned(), reason })
}

/// An entry of metadata whose name cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("metadata entry `{name}` {reason}; choose another name")]
pub struct InvalidEntry {
    /// The name that was given.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests;
