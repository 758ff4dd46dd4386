//! The default format: `{"eventType": …, "data": …, "metadata": {…}}`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{Incoming, Message, headers, incoming::Said, members::Members, message::SHORT_STRING};
use crate::event::{DecodeError, EncodeError, EventSet, EventType, Metadata, RESERVED, without_values};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(rename = "eventType", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default, borrow)]
    metadata: Option<&'a RawValue>,
}

/// Reads a body that has exactly the envelope's members; `Ok(Err)` says why it is none.
#[allow(
    clippy::type_complexity,
    reason = "the outer error is an envelope that is broken, the inner one a body that is none"
)]
pub(super) fn decode(message: &Message) -> Result<Result<Incoming<'_>, String>, DecodeError> {
    // What isn't an object isn't parsed at all.
    if message.body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Ok(Err("it does not begin with `{`".to_owned()));
    }
    // Checked once for all of its texts.
    let text = match str::from_utf8(&message.body) {
        Ok(text) => text,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let Body { event_type, data, metadata } = match serde_json::from_str(text) {
        Ok(body) => body,
        Err(error) => return Ok(Err(without_values(&error))),
    };
    // It is said in every line of the log.
    if event_type.len() > SHORT_STRING {
        let reason = format!("it has {} bytes, and no name has more than {SHORT_STRING}", event_type.len());
        return Err(DecodeError::Body { format: "an envelope with an event's name as its `eventType`", reason });
    }
    Ok(Ok(Incoming::new(message, event_type, data.get().as_bytes(), Said::InBody(metadata))))
}

/// Reads an envelope's `metadata`.
pub(super) fn metadata(raw: &RawValue) -> Result<Metadata, DecodeError> {
    let said = serde_json::from_str::<Members>(raw.get());
    said.map(|Members(metadata)| metadata).map_err(|error| DecodeError::Body {
        format: "an envelope with an object as its `metadata`",
        reason: without_values(&error),
    })
}

pub(super) fn encode(
    event: &impl EventSet,
    event_type: &EventType,
    metadata: &Metadata,
    body: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let failed = |source| EncodeError { event: event_type.name.clone().into_owned(), source };
    body.extend_from_slice(b"{\"eventType\":");
    serde_json::to_writer(&mut *body, &event_type.name).map_err(failed)?;
    body.extend_from_slice(b",\"data\":");
    event.encode(body)?;
    body.extend_from_slice(b",\"metadata\":");
    serde_json::to_writer(&mut *body, &OnTheWire(metadata)).map_err(failed)?;
    body.push(b'}');
    Ok(())
}

struct OnTheWire<'a>(&'a Metadata);

impl Serialize for OnTheWire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = self.0;
        let mut map = serializer.serialize_map(None)?;
        put(&mut map, "id", metadata.id.as_deref())?;
        put(&mut map, "source", metadata.source.as_deref())?;
        put(&mut map, "time", metadata.time.and_then(headers::Rfc3339::of))?;
        put(&mut map, "correlationId", metadata.correlation_id.as_deref())?;
        put(&mut map, "causationId", metadata.causation_id.as_deref())?;
        put(&mut map, "key", metadata.key.as_deref())?;
        put(&mut map, "version", metadata.version)?;
        for (name, value) in metadata.entries.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A member, if there is a value for it.
fn put<M: SerializeMap>(map: &mut M, name: &str, value: Option<impl Serialize>) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, &value),
        None => Ok(()),
    }
}
