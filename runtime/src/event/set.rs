//! "Any of these": what a handler takes and what it returns.

use std::borrow::Cow;

use super::{DecodeError, EncodeError, Event, EventType, Payload};

/// One or more events, of which a value holds one.
///
/// Every [`Event`] is a set of one. For more, derive it on an enum with [`#[derive(EventSet)]`](derive@crate::EventSet);
/// each variant holds one event. [`AnyEvent`](crate::AnyEvent) is the set of all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an event nor a set of events",
    label = "not an event",
    note = "annotate a struct with `#[rabbitry::event(\"its_name\")]`, or an enum of events with `#[derive(rabbitry::EventSet)]`"
)]
pub trait EventSet: Sized + Send + 'static {
    /// The events in this set.
    const EVENTS: Events;

    /// Decodes a received event.
    ///
    /// # Errors
    /// The event is none of this set, or its data does not fit.
    fn decode(payload: Payload<'_>) -> Result<Self, DecodeError>;

    /// The declaration of the event that this value holds.
    fn event_type(&self) -> EventType;

    /// The key of the event that this value holds.
    fn key(&self) -> Option<Cow<'_, str>>;

    /// Writes the event's data as JSON to the end of `out`.
    ///
    /// # Errors
    /// serde cannot write it; what `out` holds then is of no use.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

/// Which events an [`EventSet`] holds.
#[derive(Clone, Copy, Debug)]
pub enum Events {
    /// Every event there is, known by name only.
    Any,
    /// These.
    Of(&'static [EventType]),
}

struct One<E>(std::marker::PhantomData<E>);

impl<E: Event> One<E> {
    const EVENTS: &'static [EventType] = &[EventType::of::<E>()];
}

impl<E: Event> EventSet for E {
    const EVENTS: Events = Events::Of(One::<E>::EVENTS);

    fn decode(payload: Payload<'_>) -> Result<Self, DecodeError> {
        if payload.name() == E::NAME { payload.decode() } else { Err(payload.unexpected::<Self>()) }
    }

    fn event_type(&self) -> EventType {
        EventType::of::<E>()
    }

    fn key(&self) -> Option<Cow<'_, str>> {
        Event::key(self)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        serde_json::to_writer(out, self).map_err(|source| EncodeError { event: E::NAME.to_owned(), source })
    }
}
