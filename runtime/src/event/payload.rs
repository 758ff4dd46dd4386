//! An event's data on its way in or out, apart from any envelope.

use std::fmt;

use serde::de::DeserializeOwned;

use super::{EventSet, Events};

/// The data of a received event, not yet decoded: its name and its JSON.
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    name: &'a str,
    version: Version<'a>,
    data: &'a [u8],
}

/// The version of its schema, where it is known and where it can be read.
#[derive(Clone, Copy)]
enum Version<'a> {
    Known(u32),
    Said(&'a (dyn SaysVersion + Sync)),
}

/// Who can say of an event which version of its schema its sender used, but does not look before it is asked.
pub(crate) trait SaysVersion {
    /// The version; 1 where the sender said none.
    fn version(&self) -> u32;
}

/// Shows the name and the size only: the data may hold what must not reach a log.
impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("name", &self.name)
            .field("version", &self.version())
            .field("bytes", &self.data.len())
            .finish()
    }
}

impl<'a> Payload<'a> {
    pub(crate) fn new(name: &'a str, version: u32, data: &'a [u8]) -> Self {
        Self { name, version: Version::Known(version), data }
    }

    /// One whose version is looked at when it is asked for.
    pub(crate) fn said(name: &'a str, by: &'a (dyn SaysVersion + Sync), data: &'a [u8]) -> Self {
        Self { name, version: Version::Said(by), data }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The version of the event's schema, as its sender said; 1 where it did not.
    #[must_use]
    pub fn version(&self) -> u32 {
        match self.version {
            Version::Known(version) => version,
            Version::Said(by) => by.version(),
        }
    }

    /// Decodes the data.
    ///
    /// # Errors
    /// The data is not JSON, or not of this type; the error says where.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        serde_json::from_slice(self.data)
            .map_err(|error| DecodeError::Data { event: self.name.to_owned(), reason: without_values(&error) })
    }

    /// The error of a set that does not hold this event.
    #[must_use]
    pub fn unexpected<S: EventSet>(&self) -> DecodeError {
        let expected = match S::EVENTS {
            Events::Any => "any event".to_owned(),
            Events::Of(events) => {
                let names: Vec<&str> = events.iter().map(|event| &*event.name).collect();
                names.join(", ")
            }
        };
        DecodeError::Unexpected { event: self.name.to_owned(), expected }
    }
}

/// Why a message could not be turned into the event that a handler takes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The event's data is not of the handler's type.
    #[error("the data of event `{event}` does not fit its type: {reason}")]
    Data {
        /// The event's name.
        event: String,
        /// What serde found, with line and column within the data, but without the value: it may be one that must not
        /// reach a log or a list of dead letters. What a `Deserialize` of yours says stands as it is.
        reason: String,
    },
    /// The event is none that the handler takes.
    #[error(
        "event `{event}` came to a handler that takes {expected}; look at the queue's bindings, or at who sends to it"
    )]
    Unexpected {
        /// The event's name.
        event: String,
        /// The names that the handler takes.
        expected: String,
    },
    /// The body is not what the subscription's format says.
    #[error("the body is not {format}: {reason}")]
    Body {
        /// The format that was tried.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The body is larger than the service reads.
    #[error("the body has {size} bytes, more than the limit of {limit}; raise it with `Service::body_limit`")]
    TooLarge {
        /// The body's size in bytes.
        size: usize,
        /// The service's limit in bytes.
        limit: usize,
    },
}

/// An event that could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("event `{event}` cannot be written as JSON: {source}")]
pub struct EncodeError {
    /// The event's name.
    pub event: String,
    /// What serde could not write (a map with keys that are no strings, for example).
    pub source: serde_json::Error,
}

/// What serde_json says of an error, less the value that it found: `string "secret"` is just `string`. No more than its
/// beginning: the name of a field may be as long as a body.
pub(crate) fn without_values(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some((end, _)) = text.char_indices().nth(1000) {
        text.truncate(end);
        text.push('…');
    }
    for start in ["invalid type: ", "invalid value: ", "unknown variant"] {
        if let Some(found) = text.strip_prefix(start) {
            // The value can hold anything; what was expected comes last.
            let expected = found.rfind(", expected ").or_else(|| found.rfind(" at line ")).unwrap_or(found.len());
            let (found, expected) = found.split_at_checked(expected).unwrap_or_default();
            let kind = found.split(['`', '"']).next().unwrap_or_default();
            return format!("{start}{}{expected}", kind.trim_end());
        }
    }
    text
}

#[cfg(test)]
mod tests;
