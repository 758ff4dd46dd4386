//! What the tests on real brokers share: private RabbitMQ nodes, a plain AMQP client, and patience with a limit.
//!
//! A test that cannot have its broker fails; none is ever skipped.

mod books;
mod broker;
mod cargo;
pub mod chaos;
mod child;
mod client;
mod clock;
mod cluster;
mod lines;
mod numbers;
mod places;
mod plan;
mod proxy;
mod puppet;
mod record;
mod services;
mod socket;
mod stock;
mod stranger;

// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

use std::time::Duration;

pub use books::Books;
pub use broker::{Node, TestBroker, is_4};
pub use cargo::{binary, cargo, forget_the_test};
pub use child::Child;
pub use client::{Client, Header, Raw, table};
pub use clock::HeldClock;
pub use cluster::{Cluster, Turn};
pub use lines::Lines;
pub use numbers::{assert_all, assert_each_once, nested, note, number, numbered, publish_numbers};
pub use places::{LATE, in_memory, on_rabbitmq, unit};
pub use plan::Plan;
pub use proxy::{Proxy, Way};
pub use puppet::{Answer, Puppet, Written};
pub use record::Record;
pub use services::{any, gated, queues, stop, stop_all};
pub use socket::{Fields, Socket, Text, To, value};
pub use stock::{RESERVE, ids, migration, stock};
pub use stranger::{Stranger, id, integer, json, text, texts};

/// How long anything may take that is expected to happen. Generous, since it is only waited out by a failure.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// What the future gives.
///
/// # Panics
/// It gives nothing within the deadline.
#[track_caller]
pub fn within<T>(what: impl Into<String>, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let what = what.into();
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: {what}: nothing happened within {DEADLINE:?}"),
        }
    }
}

/// Waits until a condition holds that nobody announces, by looking again and again.
///
/// # Panics
/// It does not hold within the deadline.
#[track_caller]
pub fn eventually<F: Future<Output = bool>>(
    what: impl Into<String>,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    within(what, async move {
        let mut look = tokio::time::interval(Duration::from_millis(25));
        loop {
            look.tick().await;
            if condition().await {
                return;
            }
        }
    })
}

/// Shows the runtime's log when `RUST_LOG` asks for it.
pub fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    // Another test of this process may have been first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

/// Makes two tests of each body: one on the memory broker, one on RabbitMQ.
///
/// ```ignore
/// on_both! {
///     async fn an_event_is_handled(place: Place) {
///         let mut test = testing::start_on(place, service()).await;
///     }
/// }
/// ```
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($place:ident: Place) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn body($place: rabbitry::testing::Place) $body

            #[tokio::test(flavor = "multi_thread")]
            async fn in_memory() {
                $crate::in_memory(body).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_rabbitmq() {
                $crate::on_rabbitmq(body).await;
            }
        }
    )*};
}
