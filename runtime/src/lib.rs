//! Event-driven microservices on RabbitMQ.

mod envelope;
pub mod event;
pub mod handler;
mod macros;
pub mod retry;
mod subscription;
mod time;
pub mod topology;

pub use envelope::{Format, Reason};
pub use event::{AnyEvent, DecodeError, Event, EventSet, Key, Metadata};
pub use handler::{Attempt, HandlerError, State};
pub use macros::{EventSet, event, payload, subscribe, subscriptions};
pub use retry::RetryPolicy;
pub use subscription::{HandlerDef, Registration, Subscription, SubscriptionOptions, Subscriptions, Undecodable};
pub use time::{Clock, IntoDuration, InvalidDuration, SystemClock};
pub use topology::{Exchange, ExchangeKind, QueueType, Topology};

/// The traits that add methods to results.
pub mod prelude {
    pub use crate::handler::HandlerResultExt;
}

/// What the macros write and users do not: other crates, under the names that the macros know.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use schemars;
    pub use serde;
}
