//! The dynamic event: a name and JSON.

use std::borrow::Cow;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{DecodeError, EncodeError, Event, EventSet, EventType, Events, Payload, name};

/// Any event: its name and its data as JSON, for handlers of wildcards, for auditing, and for code that knows names
/// only at run time.
///
/// ```
/// use rabbitry::AnyEvent;
///
/// let event = AnyEvent::new("order_created", &serde_json::json!({ "order_id": 7 }))?;
/// assert_eq!(event.name(), "order_created");
/// assert_eq!(event.json(), r#"{"order_id":7}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AnyEvent {
    name: String,
    version: u32,
    data: Box<RawValue>,
}

impl AnyEvent {
    /// An event of this name.
    ///
    /// # Errors
    /// The name breaks the rules of event names, or serde cannot write `data` as JSON.
    pub fn new(name: impl Into<String>, data: &impl Serialize) -> Result<Self, InvalidEventName> {
        let name = name.into();
        if let Err(reason) = name::check(&name) {
            return Err(InvalidEventName { name, reason });
        }
        match serde_json::value::to_raw_value(data) {
            Ok(data) => Ok(Self { name, version: 1, data }),
            Err(source) => {
                Err(InvalidEventName { name, reason: format!("its data cannot be written as JSON: {source}") })
            }
        }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the event's schema, as its sender said; 1 where it did not.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The event's data, as the JSON that came.
    #[must_use]
    pub fn json(&self) -> &str {
        self.data.get()
    }

    /// Whether this is an `E`, by name.
    #[must_use]
    pub fn is<E: Event>(&self) -> bool {
        self.name == E::NAME
    }

    /// Decodes the data as whatever type you say.
    ///
    /// # Errors
    /// The data is not of this type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        Payload::new(&self.name, self.version, self.data.get().as_bytes()).decode()
    }
}

/// Shows the name and the size only: the data may hold what must not reach a log.
impl std::fmt::Debug for AnyEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnyEvent")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("bytes", &self.data.get().len())
            .finish()
    }
}

impl EventSet for AnyEvent {
    const EVENTS: Events = Events::Any;

    fn decode(payload: Payload<'_>) -> Result<Self, DecodeError> {
        let data = payload.decode()?;
        Ok(Self { name: payload.name().to_owned(), version: payload.version(), data })
    }

    fn event_type(&self) -> EventType {
        EventType::named(self.name.clone(), self.version)
    }

    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(self.data.get().as_bytes());
        Ok(())
    }
}

/// An event that cannot be, because of its name or because its data is no JSON.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{name}` cannot be published as an event: {reason}")]
pub struct InvalidEventName {
    /// The name that was given.
    pub name: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

#[cfg(test)]
mod tests;
