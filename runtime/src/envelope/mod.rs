//! Bytes and properties ⇄ metadata and payload. Pure: no I/O, no clock, no randomness.

mod bare;
mod copy;
mod default;
pub(crate) mod headers;
pub(crate) mod id;
mod incoming;
mod members;
pub(crate) mod message;
#[cfg(feature = "cli")]
mod moved;
mod reason;

use std::{borrow::Cow, cell::Cell};

use bytes::Bytes;
use smol_str::SmolStr;

use crate::event::{DecodeError, EncodeError, EventSet, EventType, Metadata};

pub(crate) use copy::{Failure, Limits, attempts_so_far, copy_of, fit_frame, too_long_for_a_frame};
pub(crate) use incoming::Incoming;
pub use message::{HeaderValue, Headers, Message, Properties};
#[cfg(feature = "cli")]
pub(crate) use moved::moved;
pub use reason::Reason;

/// How an event is laid out in a message.
///
/// A service sends one format and reads all; a subscription's `format` pins what it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `{"eventType": …, "data": …, "metadata": {…}}` in JSON, with the same facts in the AMQP properties.
    #[default]
    Default,
    /// The body is the event's data alone; all else is in AMQP properties and headers. What FastStream, Spring and most
    /// others send and read.
    Bare,
}

/// Reads a message, in the format that is pinned or else in the one that it shows.
pub(crate) fn decode(message: &Message, pinned: Option<Format>) -> Result<Incoming<'_>, DecodeError> {
    match pinned {
        Some(Format::Bare) => Ok(bare::decode(message)),
        Some(Format::Default) => default::decode(message)?.map_err(|reason| DecodeError::Body {
            format: "an envelope {\"eventType\": …, \"data\": …, \"metadata\": …}",
            reason,
        }),
        None => Ok(default::decode(message)?.unwrap_or_else(|_| bare::decode(message))),
    }
}

/// Writes an event as a message to its exchange, its routing key being its name.
///
/// # Errors
/// serde cannot write its data.
pub(crate) fn encode(
    event: &impl EventSet,
    event_type: &EventType,
    metadata: Metadata,
    format: Format,
    exchange: SmolStr,
) -> Result<Message, EncodeError> {
    let mut headers = Headers::new();
    let body = in_buffer(|body| match format {
        Format::Default => default::encode(event, event_type, &metadata, body),
        Format::Bare => {
            bare::encode(&metadata, &mut headers);
            event.encode(body)
        }
    })?;
    let name = match &event_type.name {
        Cow::Borrowed(name) => SmolStr::new_static(name),
        Cow::Owned(name) => SmolStr::new(name),
    };
    let properties = common_properties(&name, metadata, headers);
    Ok(Message { exchange, routing_key: name, properties, body })
}

/// The largest buffer that a thread keeps, in bytes.
const BUFFER: usize = 64 * 1024;

/// What is written into a buffer that the thread keeps for the next time: so a body is allocated once, as long as it is.
fn in_buffer<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
    thread_local! {
        static KEPT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Taken out, since a user's `Serialize` may come here again.
    let mut buffer = KEPT.take();
    buffer.clear();
    let body = write(&mut buffer).map(|()| Bytes::copy_from_slice(&buffer));
    if buffer.capacity() <= BUFFER {
        KEPT.set(buffer);
    }
    body
}

/// The properties that say the same as an envelope's metadata, for brokers and tools.
fn common_properties(name: &SmolStr, metadata: Metadata, mut headers: Headers) -> Properties {
    for (name, value) in [(headers::TRACE_PARENT, metadata.trace_parent), (headers::TRACE_STATE, metadata.trace_state)]
    {
        if let Some(value) = value {
            headers.insert(name.to_owned(), HeaderValue::Text(value.into_bytes()));
        }
    }
    let short = |text: Option<SmolStr>| text.and_then(message::short);
    Properties {
        content_type: Some(SmolStr::new_static("application/json")),
        delivery_mode: Some(message::PERSISTENT),
        kind: message::short(name.clone()),
        message_id: short(metadata.id),
        app_id: short(metadata.source),
        correlation_id: short(metadata.correlation_id),
        timestamp: metadata.time.and_then(message::seconds),
        headers,
        ..Properties::default()
    }
}

/// The longest trace context that is read, in bytes. 512 are what its standard asks everybody to hand on.
const TRACE: usize = 2048;

/// The longest id that is read, in bytes: it is said in every line of the log.
const ID: usize = 1024;

/// Whether a text is an id. An empty one would make equal what has nothing in common.
fn is_id(text: &SmolStr) -> bool {
    (1..=ID).contains(&text.len())
}

/// What travels with the event: what its body says, and for the rest what the properties say.
fn metadata_of(message: &Message, said: Metadata) -> Metadata {
    let properties = &message.properties;
    // Whatever a handler says goes on with it: a header that fills a frame would let none of that out.
    let trace = |name| {
        let text = properties.headers.get(name).and_then(HeaderValue::as_text);
        text.filter(|text| text.len() <= TRACE).map(str::to_owned)
    };
    let id = |id: &Option<SmolStr>| id.clone().filter(is_id);
    Metadata {
        id: said.id.or_else(|| id(&properties.message_id)),
        source: said.source.or_else(|| properties.app_id.clone()),
        time: said.time.or_else(|| properties.timestamp.and_then(message::time)),
        correlation_id: said.correlation_id.or_else(|| id(&properties.correlation_id)),
        trace_parent: trace(headers::TRACE_PARENT),
        trace_state: trace(headers::TRACE_STATE),
        ..said
    }
}

/// The event's name where the body does not say it: the property `type`, else the routing key it was first sent with.
fn name_of(message: &Message) -> &str {
    let kind = message.properties.kind.as_deref().filter(|kind| !kind.is_empty());
    let original = || message.properties.headers.get(headers::ORIGINAL_ROUTING_KEY).and_then(HeaderValue::as_text);
    kind.or_else(original).unwrap_or(&message.routing_key)
}

#[cfg(test)]
mod tests;
