//! What a handler's arguments are made of.

use super::{MissingResource, Received, Resources};
use crate::event::{DecodeError, EventSet, Events, Metadata};

/// An argument of a handler.
///
/// The event itself (any [`EventSet`], by value), [`State<T>`], [`Metadata`], [`Attempt`] and
/// [`Publisher<E>`](crate::Publisher) are arguments. Implement it for extractors of your own:
///
/// ```
/// use rabbitry::{event, subscribe};
/// use rabbitry::handler::{Argument, MissingResource, Received, Resources};
///
/// pub struct Tenant(Option<String>);
///
/// impl Argument for Tenant {
///     type Source = ();
///
///     fn source(_: &Resources) -> Result<(), MissingResource> {
///         Ok(())
///     }
///
///     fn extract(_: &(), received: &Received<'_>) -> Result<Self, rabbitry::DecodeError> {
///         let tenant = received.metadata().get("tenant").and_then(|tenant| tenant.as_str());
///         Ok(Self(tenant.map(String::from)))
///     }
/// }
///
/// #[event("order_created")]
/// pub struct OrderCreated {
///     pub order_id: i64,
/// }
///
/// #[subscribe("order_created")]
/// async fn bill(event: OrderCreated, Tenant(tenant): Tenant) {
///     println!("bill order {} to {tenant:?}", event.order_id);
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "neither an event nor an extractor",
    note = "a handler takes one event by value (a struct with `#[event(…)]`, an enum with `#[derive(EventSet)]`, or `AnyEvent`)",
    note = "beside it: `State<T>`, `Metadata`, `Publisher<E>`, `Attempt`, or a type of yours that implements `rabbitry::handler::Argument`"
)]
pub trait Argument: Sized + Send + 'static {
    /// Whether it takes the event, and which. A handler has exactly one argument that does. Default: it does not.
    const TAKES: Takes = Takes::Nothing;

    /// Whether it looks at [`Received::metadata`]. An event whose metadata cannot be read is only known by who looks: then it is
    /// undecodable, and its handler is not run. Default: it does.
    const READS_METADATA: bool = true;

    /// What it needs of the service, looked up once when the service is built.
    type Source: Send + Sync + 'static;

    /// Looks up what it needs of the service.
    ///
    /// # Errors
    /// The service was not given it; `build` fails with the handler's name.
    fn source(resources: &Resources) -> Result<Self::Source, MissingResource>;

    /// Makes it from a received event.
    ///
    /// # Errors
    /// The event cannot be read as this; the message goes to the dead letters as `undecodable`.
    fn extract(source: &Self::Source, received: &Received<'_>) -> Result<Self, DecodeError>;

    /// The events that the handler can publish through it. Default: none.
    #[must_use]
    fn publishes() -> Option<Events> {
        None
    }
}

/// Whether an argument takes the event.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// It is an extractor.
    Nothing,
    /// It takes one of these events.
    Event(Events),
}

impl<T: EventSet> Argument for T {
    const TAKES: Takes = Takes::Event(T::EVENTS);

    // The version is for who knows no event's type.
    const READS_METADATA: bool = matches!(T::EVENTS, Events::Any);

    type Source = ();

    fn source(_: &Resources) -> Result<(), MissingResource> {
        Ok(())
    }

    fn extract((): &(), received: &Received<'_>) -> Result<Self, DecodeError> {
        T::decode(received.payload())
    }
}

/// A value that the service was given with [`Service::state`](crate::Service::state), cloned for each run.
///
/// A service without it is an error of [`Service::build`](crate::Service::build) that names the handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> Argument for State<T> {
    const READS_METADATA: bool = false;

    type Source = T;

    fn source(resources: &Resources) -> Result<T, MissingResource> {
        resources.get()
    }

    fn extract(source: &T, _: &Received<'_>) -> Result<Self, DecodeError> {
        Ok(Self(source.clone()))
    }
}

impl Argument for Metadata {
    type Source = ();

    fn source(_: &Resources) -> Result<(), MissingResource> {
        Ok(())
    }

    fn extract((): &(), received: &Received<'_>) -> Result<Self, DecodeError> {
        Ok(received.metadata().clone())
    }
}

/// Which run of the handler on this event it is.
///
/// Counted in a header that travels with the event, so it goes on across restarts. A lost connection costs no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// How many runs the retry policy allows in all.
    pub of: u32,
}

impl Attempt {
    /// Whether a failure of this run sends the event to the dead letters.
    #[must_use]
    pub fn is_last(self) -> bool {
        self.number >= self.of
    }
}

impl Argument for Attempt {
    const READS_METADATA: bool = false;

    type Source = ();

    fn source(_: &Resources) -> Result<(), MissingResource> {
        Ok(())
    }

    fn extract((): &(), received: &Received<'_>) -> Result<Self, DecodeError> {
        Ok(received.attempt())
    }
}
