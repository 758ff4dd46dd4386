//! The events that a handler returned, written as messages.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use smol_str::SmolStr;

use super::fresh_id;
use crate::{
    envelope::{self, Format, Message, id},
    event::{EncodeError, EventSet, Metadata},
};

/// How a service says things: what all its messages have in common.
#[derive(Debug)]
pub(crate) struct Saying {
    /// The service's name.
    pub(crate) service: SmolStr,
    /// The exchange of events that name none.
    pub(crate) exchange: SmolStr,
    pub(crate) format: Format,
}

impl Saying {
    /// Writes an event as a message; `metadata` says what travels with it, its source and version come from here.
    ///
    /// # Errors
    /// serde cannot write its data.
    pub(crate) fn say(&self, event: &impl EventSet, mut metadata: Metadata) -> Result<Message, EncodeError> {
        let event_type = event.event_type();
        metadata.source = Some(self.service.clone());
        metadata.version = Some(event_type.version);
        metadata.key = event.key().map(SmolStr::from);
        let exchange = event_type.exchange.as_deref().map_or_else(|| self.exchange.clone(), SmolStr::from);
        envelope::encode(event, &event_type, metadata, self.format, exchange)
    }
}

/// An event's name and key.
type Named = (Cow<'static, str>, Option<SmolStr>);

/// Takes the events that a handler returns and writes them as messages, with ids that follow from their cause.
#[derive(Debug)]
pub struct Returned {
    saying: Arc<Saying>,
    queue: Arc<str>,
    cause: Metadata,
    now: std::time::SystemTime,
    /// The name and the key of the first: most outcomes have no other, and need no map.
    first: Option<Named>,
    /// How many of a name and key there were so far, from the second one on.
    counts: HashMap<Named, usize>,
    messages: Vec<Message>,
    failed: Option<EncodeError>,
}

impl Returned {
    /// Begins the outcome of a run on `cause` by the handler of `queue`; of a broadcast handler it is the instance's own queue.
    /// There is none where the handler says that it returns nothing. `fresh_id` is the id of a cause that came without one: its
    /// events then have other ids when it comes again.
    pub(crate) fn new(
        saying: Arc<Saying>,
        queue: Arc<str>,
        cause: Option<&Metadata>,
        fresh_id: impl FnOnce() -> SmolStr,
        now: std::time::SystemTime,
    ) -> Self {
        let cause = cause.map_or_else(Metadata::default, |cause| Metadata {
            id: Some(cause.id.clone().unwrap_or_else(fresh_id)),
            correlation_id: cause.correlation_id.clone(),
            trace_parent: cause.trace_parent.clone(),
            trace_state: cause.trace_state.clone(),
            ..Metadata::default()
        });
        let counts = HashMap::new();
        Self { saying, queue, cause, now, first: None, counts, messages: Vec::new(), failed: None }
    }

    /// How many of this name and key came before.
    fn count(&mut self, named: &Named) -> usize {
        let Some(first) = &self.first else {
            self.first = Some(named.clone());
            return 0;
        };
        if self.counts.is_empty() {
            self.counts.insert(first.clone(), 1);
        }
        let count = self.counts.entry(named.clone()).or_default();
        *count += 1;
        *count - 1
    }

    /// Takes one event. One that cannot be written fails the whole outcome, once it is complete.
    pub fn push(&mut self, event: &impl EventSet) {
        let named = (event.event_type().name, event.key().map(SmolStr::from));
        let before = self.count(&named);
        let cause = self.cause.id.get_or_insert_with(fresh_id);
        let (name, key) = &named;
        let derivation = id::Derivation { cause, queue: &self.queue, event: name, key: key.as_deref(), before };
        let metadata = Metadata {
            id: Some(id::derived(&derivation)),
            time: Some(self.now),
            correlation_id: self.cause.correlation_id.clone().or_else(|| self.cause.id.clone()),
            causation_id: self.cause.id.clone(),
            trace_parent: self.cause.trace_parent.clone(),
            trace_state: self.cause.trace_state.clone(),
            ..Metadata::default()
        };
        match self.saying.say(event, metadata) {
            Ok(message) => self.messages.push(message),
            Err(error) => _ = self.failed.get_or_insert(error),
        }
    }

    /// The messages, in the order of their events.
    ///
    /// # Errors
    /// One of them could not be written.
    pub(crate) fn into_messages(self) -> Result<Vec<Message>, EncodeError> {
        self.failed.map_or(Ok(self.messages), Err)
    }
}

#[cfg(test)]
mod tests;
