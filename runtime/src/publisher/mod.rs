//! What users publish with. The task that does it, its window and its errors are beside it.

mod answers;
mod confirms;
mod error;
mod flight;
mod obstacle;
mod parcel;
mod pipeline;
mod publication;
mod refusals;
mod sending;
mod stage;
mod unanswered;
mod window;

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;
use serde_json::Value;

use crate::{
    envelope::{Limits, Message, too_long_for_a_frame},
    event::{AnyEvent, DecodeError, EventSet, Events, InvalidEntry, Metadata},
    handler::{Argument, MissingResource, Received, Resources, Saying},
    topology::ladder::Ladder,
};

pub use error::{PublishAllError, PublishError};
pub use obstacle::Obstacle;
use parcel::event_name;
pub(crate) use pipeline::Pipeline;
pub use publication::{Publication, Published};
pub(crate) use window::{Jobs, NotSent, Window};

/// How many events `publish_all` has on their way at a time.
const AHEAD: usize = 256;

/// What happens to an event that no queue is bound for: RabbitMQ would drop it and say that all is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unrouted {
    /// It is counted, and warned of once for each name. Default.
    #[default]
    Warn,
    /// It is [`PublishError::Unrouted`]. Publishing is slower by that: no caller is answered before all confirms of a batch
    /// are in. An event that a handler returned is a failure of the handler then, which runs again by its retry policy.
    Fail,
}

/// What publishers of one service share; where a [`Publisher`] in a handler comes from.
pub struct Outgoing {
    pub(crate) window: Window,
    pub(crate) saying: Arc<Saying>,
    pub(crate) ladder: Ladder,
    /// The exchange that leads to the dead letters.
    pub(crate) dead_letters: String,
    /// The largest body, in bytes.
    pub(crate) body_limit: usize,
    /// The connection's largest frame, in bytes.
    pub(crate) frame_max: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("service", &self.saying.service).finish_non_exhaustive()
    }
}

impl Outgoing {
    pub(crate) fn limits(&self) -> Limits {
        Limits { frame_max: self.frame_max.load(Ordering::Relaxed) }
    }

    /// Checks, before anything is written, what the broker would answer by closing the channel or the connection.
    ///
    /// # Errors
    /// The body or the headers are too large.
    pub(crate) fn check(&self, message: &Message) -> Result<(), PublishError> {
        if message.body.len() > self.body_limit {
            let (size, limit) = (message.body.len(), self.body_limit);
            return Err(PublishError::TooLarge { event: event_name(message), size, limit });
        }
        match too_long_for_a_frame(message, self.limits()) {
            Some(excess) => Err(PublishError::HeadersTooLarge { event: event_name(message), excess }),
            None => Ok(()),
        }
    }
}

/// Publishes events of the set `E`, confirmed.
///
/// A handler takes it as an argument; a route gets it from the running service, for events that were declared with
/// [`Service::publishes`](crate::Service::publishes). It is cheap to clone.
///
/// A handler should rather return its events where it can: those have ids that follow from their cause, so that a
/// redelivered cause publishes no second event. What it publishes with this has a new id each time.
///
/// ```
/// use rabbitry::{Publisher, PublishError, event, subscribe};
///
/// #[event("order_created")]
/// pub struct OrderCreated {
///     pub order_id: i64,
/// }
///
/// #[event("mail_wanted")]
/// pub struct MailWanted {
///     pub order_id: i64,
/// }
///
/// #[subscribe("order_created")]
/// async fn remind(event: OrderCreated, mails: Publisher<MailWanted>) -> Result<(), PublishError> {
///     mails.event(MailWanted { order_id: event.order_id }).after("24h").publish().await?;
///     Ok(())
/// }
/// ```
pub struct Publisher<E> {
    outgoing: Arc<Outgoing>,
    /// In a handler, the event that is being handled.
    cause: Option<Arc<Metadata>>,
    events: PhantomData<fn(E)>,
}

impl<E> Clone for Publisher<E> {
    fn clone(&self) -> Self {
        Self { outgoing: Arc::clone(&self.outgoing), cause: self.cause.clone(), events: PhantomData }
    }
}

impl<E> std::fmt::Debug for Publisher<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("service", &self.outgoing.saying.service).finish_non_exhaustive()
    }
}

impl<E: EventSet> Publisher<E> {
    pub(crate) fn new(outgoing: Arc<Outgoing>) -> Self {
        Self { outgoing, cause: None, events: PhantomData }
    }

    /// Publishes an event and returns once the broker has confirmed it: it is stored in every queue that it was routed to.
    ///
    /// # Errors
    /// See [`PublishError`]. While the broker is away it waits, up to the publish timeout (30 s), and sends the event as
    /// soon as it can.
    ///
    /// # Cancel safety
    /// An event whose future is dropped may be published or not; one whose future was never polled is not.
    pub fn publish(&self, event: E) -> impl Future<Output = Result<Published, PublishError>> + Send + use<E> {
        self.event(event).publish()
    }

    /// Publishes events, in their order, without waiting for one before the next, 256 on their way at a time; returns how
    /// many, once all are confirmed.
    ///
    /// # Errors
    /// Some were not published; which, is in the error. After the first failure no further ones are sent.
    pub async fn publish_all<I>(&self, events: I) -> Result<usize, PublishAllError>
    where
        I: IntoIterator<Item = E>,
        I::IntoIter: Send,
    {
        let mut events = events.into_iter().enumerate();
        let mut on_their_way = FuturesUnordered::new();
        let (mut sent, mut failed, mut first) = (0, Vec::new(), None);
        loop {
            while on_their_way.len() < AHEAD && first.is_none() {
                let Some((position, event)) = events.next() else { break };
                sent += 1;
                // Each is in the window before the next: futures that are polled together end in any order.
                let sent = match self.event(event).sending() {
                    Ok((_, mut sending)) => sending.enter().await.map(|()| sending),
                    Err(error) => Err(error),
                };
                match sent {
                    Ok(sending) => on_their_way.push(async move { (position, sending.await) }),
                    Err(error) => {
                        failed.push(position);
                        first = Some(error);
                    }
                }
            }
            match on_their_way.next().await {
                Some((_, Ok(()))) => {}
                Some((position, Err(error))) => {
                    failed.push(position);
                    first.get_or_insert(error);
                }
                None => break,
            }
        }
        match first {
            None => Ok(sent),
            Some(first) => {
                failed.sort_unstable();
                Err(PublishAllError { sent, failed, first })
            }
        }
    }

    /// Begins to publish an event with more than its data: metadata of your own, a delay, an id.
    pub fn event(&self, event: E) -> Publication<E> {
        Publication::new(Arc::clone(&self.outgoing), self.cause.as_deref(), event)
    }
}

impl Publisher<AnyEvent> {
    /// Publishes an event known by name only, with entries of metadata of your own (a JSON object) if you like.
    ///
    /// ```no_run
    /// # async fn route(publisher: rabbitry::Publisher<rabbitry::AnyEvent>) -> Result<(), rabbitry::PublishError> {
    /// use serde_json::json;
    ///
    /// publisher.publish_value("order_created", json!({ "order_id": 1 }), Some(json!({ "tenant": "north" }))).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`PublishError`]; also when the name breaks the rules of names, or `metadata` is no object.
    pub async fn publish_value(
        &self,
        name: &str,
        data: impl Serialize + Send,
        metadata: Option<Value>,
    ) -> Result<Published, PublishError> {
        let mut publication = self.event(AnyEvent::new(name, &data)?);
        match metadata {
            None | Some(Value::Null) => {}
            Some(Value::Object(entries)) => {
                for (name, value) in entries {
                    publication = publication.entry(name, value);
                }
            }
            Some(_) => {
                return Err(
                    InvalidEntry { name: name.to_owned(), reason: "has metadata that is no JSON object" }.into()
                );
            }
        }
        publication.publish().await
    }
}

/// In a handler: what is published has the handled event as its cause.
impl<E: EventSet> Argument for Publisher<E> {
    type Source = Arc<Outgoing>;

    fn source(resources: &Resources) -> Result<Arc<Outgoing>, MissingResource> {
        resources.get()
    }

    fn extract(source: &Arc<Outgoing>, received: &Received<'_>) -> Result<Self, DecodeError> {
        let cause = Some(Arc::new(received.metadata().clone()));
        Ok(Self { outgoing: Arc::clone(source), cause, events: PhantomData })
    }

    fn publishes() -> Option<Events> {
        Some(E::EVENTS)
    }
}

#[cfg(test)]
mod tests;
