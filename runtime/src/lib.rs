#![doc = include_str!("docs/crate.md")]
// A service must not end because of what comes from outside. Tests may; what the compiler runs says so where it stands.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod consumer;
#[cfg(all(test, feature = "memory"))]
mod counted;
mod envelope;
mod event;
#[cfg(any(fuzzing, test))]
#[allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a fuzz target fails by a panic")]
pub mod fuzzing;
pub mod handler;
mod macros;
#[cfg(feature = "management")]
mod management;
#[cfg(not(feature = "management"))]
#[path = "management/without.rs"]
mod management;
pub mod observe;
#[cfg(feature = "cli")]
pub mod operate;
mod publisher;
pub mod retry;
mod service;
mod subscription;
#[cfg(feature = "testing")]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic, and only tests run this"
)]
pub mod testing;
mod time;
pub mod topology;
pub mod transport;

pub use envelope::{Format, Reason};
pub use event::{
    AnyEvent, DecodeError, EncodeError, Event, EventSet, EventType, Events, InvalidEntry, InvalidEventName, Key,
    Metadata, Payload,
};
pub use handler::{Attempt, HandlerError, State};
pub use macros::{EventSet, event, payload, subscribe, subscriptions};
pub use publisher::{Obstacle, Publication, PublishAllError, PublishError, Published, Publisher, Unrouted};
pub use retry::RetryPolicy;
pub use service::{
    BuildError, BuiltService, CompareError, ConnectionHealth, Health, LastError, RunError, Running, Service,
    ShutdownError, StartError, Status, SubscriptionHealth, UndeclaredEvent,
};
pub use subscription::{HandlerDef, Registration, Subscription, SubscriptionOptions, Subscriptions, Undecodable};
pub use time::{Clock, IntoDuration, InvalidDuration, SystemClock};
pub use topology::{Comparison, Difference, Exchange, ExchangeKind, QueueType, Topology, TopologyMode};
pub use transport::{Broker, Lifecycle, amqp::InvalidUrl};

#[doc = include_str!("docs/guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("docs/performance.md")]
#[doc = include_str!("docs/prefetch.svg")]
#[doc = include_str!("docs/scale.svg")]
pub mod performance {}

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
