//! One event to be published, with all that can be said beside its data.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use smol_str::SmolStr;

use super::{Outgoing, PublishError, sending::Sending};
use crate::{
    envelope::{HeaderValue, Message, headers},
    event::{EventSet, InvalidEntry, Metadata, check_entry},
    handler::fresh_id,
    time::{IntoDuration, InvalidDuration},
    topology::ladder::Due,
};

/// An event that waits to be published: begun with [`Publisher::event`](crate::Publisher::event), ended with
/// [`publish`](Self::publish).
///
/// ```no_run
/// # use rabbitry::{Publisher, PublishError, event};
/// # #[event("order_created")] pub struct OrderCreated { pub order_id: i64 }
/// # async fn route(orders: Publisher<OrderCreated>) -> Result<(), PublishError> {
/// orders.event(OrderCreated { order_id: 7 })
///     .correlation_id("checkout-81")
///     .entry("tenant", "north")
///     .after("10m")
///     .publish()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is published before `publish` is called and awaited"]
pub struct Publication<E> {
    outgoing: Arc<Outgoing>,
    event: E,
    metadata: Metadata,
    when: When,
    /// The first entry whose name cannot be used.
    invalid: Option<InvalidEntry>,
}

enum When {
    Now,
    After(Result<Duration, InvalidDuration>),
    At(SystemTime),
}

/// An event that the broker has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    id: SmolStr,
}

impl Published {
    /// The event's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl<E> std::fmt::Debug for Publication<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publication").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

impl<E: EventSet> Publication<E> {
    pub(super) fn new(outgoing: Arc<Outgoing>, cause: Option<&Metadata>, event: E) -> Self {
        let metadata = cause.map_or_else(Metadata::default, |cause| Metadata {
            correlation_id: cause.correlation_id.clone().or_else(|| cause.id.clone()),
            causation_id: cause.id.clone(),
            trace_parent: cause.trace_parent.clone(),
            trace_state: cause.trace_state.clone(),
            ..Metadata::default()
        });
        Self { outgoing, event, metadata, when: When::Now, invalid: None }
    }

    /// The event's id, where you have one that is the same each time the same thing is said: receivers drop copies by it.
    /// At most 255 bytes. Default: a new UUIDv7.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        let id = SmolStr::from(id.into());
        self.check("id", &id);
        self.metadata.id = Some(id);
        self
    }

    /// What this event and all that come of it share. At most 255 bytes. Default: in a handler that of the handled event,
    /// else the event's own id.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        let id = SmolStr::from(id.into());
        self.check("correlationId", &id);
        self.metadata.correlation_id = Some(id);
        self
    }

    /// An entry of metadata of your own.
    ///
    /// The names of rabbitry's own members, and those that the broker acts on (`x-…`, `CC`), are errors of
    /// [`publish`](Self::publish).
    pub fn entry(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let name = name.into();
        match check_entry(&name) {
            Ok(()) => _ = self.metadata.entries.insert(name, value.into()),
            Err(invalid) => _ = self.invalid.get_or_insert(invalid),
        }
        self
    }

    /// Delivers the event after this time, in whole seconds rounded up: a [`Duration`] or a text like `"10m"`. It waits on
    /// the broker, and goes to whoever is bound for it then.
    pub fn after(mut self, delay: impl IntoDuration) -> Self {
        self.when = When::After(delay.into_duration());
        self
    }

    /// Delivers the event at this time, or at once if it is over; to the second, and never earlier.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.when = When::At(time);
        self
    }

    /// Publishes it and returns once the broker has confirmed it.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub fn publish(self) -> impl Future<Output = Result<Published, PublishError>> + Send + use<E> {
        // Before the future is there: so it is small, whatever the event is.
        let sending = self.sending();
        async move {
            let (published, sending) = sending?;
            sending.await?;
            Ok(published)
        }
    }

    /// Writes it as a message, ready to be sent.
    pub(super) fn sending(self) -> Result<(Published, Sending), PublishError> {
        if let Some(invalid) = self.invalid {
            return Err(invalid.into());
        }
        let Self { outgoing, event, mut metadata, when, .. } = self;
        let now = outgoing.window.clock.now();
        let id = metadata.id.get_or_insert_with(fresh_id).clone();
        metadata.correlation_id.get_or_insert_with(|| id.clone());
        metadata.time = Some(now);
        let event_type = event.event_type();
        let mut message = outgoing.saying.say(&event, metadata)?;
        let delay = match when {
            When::Now => None,
            When::After(delay) => Some(
                delay.map_err(|reason| PublishError::Delay { event: event_type.name.clone().into_owned(), reason })?,
            ),
            When::At(time) => time.duration_since(now).ok(),
        };
        // Due now: it needs no ladder, and there may be none.
        let delay = delay.filter(|delay| !delay.is_zero());
        if let Some(delay) = delay {
            postpone(&outgoing, &mut message, delay)?;
        }
        outgoing.check(&message)?;
        // What goes to the ladder is never returned: its exchanges have an alternate.
        let sending = Sending::new(&outgoing.window, message, delay.is_none());
        Ok((Published { id }, sending))
    }

    fn check(&mut self, name: &str, value: &str) {
        // Both are also AMQP properties, which hold 255 bytes.
        if value.len() > 255 {
            self.invalid.get_or_insert(InvalidEntry { name: name.to_owned(), reason: "is longer than 255 bytes" });
        }
    }
}

/// Sends it through the delay ladder: its exchange gets it when it is due, and routes it by the name in `CC`.
fn postpone(outgoing: &Outgoing, message: &mut Message, delay: Duration) -> Result<(), PublishError> {
    let Some((exchange, key)) = outgoing.ladder.entry(delay, Due::Exchange(&message.exchange)) else {
        let longest = outgoing.ladder.longest();
        return Err(PublishError::TooFarAhead { event: message.routing_key.to_string(), delay, longest });
    };
    message.exchange = exchange.into();
    let name = std::mem::replace(&mut message.routing_key, key.into());
    message.properties.headers.insert(headers::CC.to_owned(), HeaderValue::Array(vec![HeaderValue::text(name)]));
    Ok(())
}
