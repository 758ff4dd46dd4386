//! What is said: events, sets of events, and what travels with them.
//! Nothing here does I/O or knows how an event is written to the wire.

mod any;
mod key;
mod metadata;
pub(crate) mod name;
mod payload;
mod set;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema};
use serde::{Serialize, de::DeserializeOwned};

pub use any::{AnyEvent, InvalidEventName};
pub use key::Key;
pub use metadata::{InvalidEntry, Metadata};
pub use payload::{DecodeError, EncodeError, Payload};
pub use set::{EventSet, Events};

pub(crate) use metadata::{RESERVED, check_entry};
pub(crate) use payload::{SaysVersion, without_values};

/// Something that happened, with a name that the whole system knows it by.
///
/// Derive it with [`#[event]`](macro@crate::event); the macro also derives serde's and schemars' traits and a `Debug`
/// that masks `#[sensitive]` fields.
///
/// ```
/// use rabbitry::{Event, event};
///
/// /// A customer placed an order.
/// #[event("order_created")]
/// pub struct OrderCreated {
///     #[key]
///     pub order_id: i64,
/// }
///
/// assert_eq!(OrderCreated::NAME, "order_created");
/// assert_eq!(OrderCreated { order_id: 7 }.key().as_deref(), Some("7"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "annotate the struct: `#[rabbitry::event(\"its_name\")] struct … {{ … }}`"
)]
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The event's name on the wire, which is also its routing key.
    const NAME: &'static str;

    /// The version of the event's schema, from 1. Default: 1.
    const VERSION: u32 = 1;

    /// The exchange that this event goes through, where it is not the service's. Default: none.
    const EXCHANGE: Option<&'static str> = None;

    /// What orders and partitions this event: the value of its `#[key]` field. Default: none.
    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }
}

/// The declaration of an event, as a value: what a service's plan and its schemas are made of.
#[derive(Clone, Debug)]
pub struct EventType {
    /// The name on the wire.
    pub name: Cow<'static, str>,
    /// The version of its schema.
    pub version: u32,
    /// The exchange named on the event, if it is not the service's.
    pub exchange: Option<Cow<'static, str>>,
    schema: Option<fn() -> Schema>,
}

impl EventType {
    /// The declaration of `E`.
    #[must_use]
    pub const fn of<E: Event>() -> Self {
        Self {
            name: Cow::Borrowed(E::NAME),
            version: E::VERSION,
            exchange: match E::EXCHANGE {
                Some(exchange) => Some(Cow::Borrowed(exchange)),
                None => None,
            },
            schema: Some(schema_of::<E>),
        }
    }

    /// An event known by name only.
    pub(crate) fn named(name: String, version: u32) -> Self {
        Self { name: Cow::Owned(name), version, exchange: None, schema: None }
    }

    /// The JSON Schema of the event's data (draft 2020-12); `None` for an event known by name only.
    #[must_use]
    pub fn schema(&self) -> Option<Schema> {
        self.schema.map(|schema| schema())
    }
}

fn schema_of<E: Event>() -> Schema {
    schemars::schema_for!(E)
}
