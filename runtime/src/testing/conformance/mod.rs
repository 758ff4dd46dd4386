//! What rabbitry relies on of a broker, as tests that every transport has to pass.
//!
//! Who writes a [`Transport`](crate::transport::Transport) implements [`Harness`] for it and writes
//! [`conformance_suite!`](crate::testing::conformance_suite) into a file of tests. Each scenario is a test of its own, whose
//! name says what it is about. What differs between brokers is said by [`Capabilities`] and asserted either way: no
//! scenario is skipped.

mod checks;
pub mod connections;
pub mod content;
pub mod dead_letters;
pub mod declaring;
pub mod exclusive;
pub mod expiry;
pub mod giving_back;
mod plan;
pub mod publishing;
pub mod queues;
pub mod removing;
pub mod restarts;
pub mod routing;
mod session;
pub mod settling;
pub mod stopping;
mod suite;

use std::{sync::Arc, time::Duration};

use crate::{Broker, Clock, SystemClock};

/// A broker for one scenario, and the hands of its operator.
pub trait Harness: Send + Sync {
    /// The broker, the same each time. It is this scenario's alone: nothing is on it but what every broker has.
    fn broker(&self) -> Broker;

    /// What it does where brokers differ.
    fn capabilities(&self) -> Capabilities;

    /// The time that the broker goes by. It is handed to [`connect`](crate::transport::Transport::connect), too.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    /// Closes all connections to the broker, as an operator does. It may return before these know.
    fn close_connections(&self) -> impl Future<Output = ()> + Send;

    /// Ends the broker and starts it again; it keeps what it keeps. Returns when it takes connections.
    fn restart(&self) -> impl Future<Output = ()> + Send;

    /// Lets this much of the broker's time pass, or more: by waiting, or by moving its clock.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// What a broker does where brokers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether exchanges, queues, bindings and persistent messages are there after a restart.
    pub persistent: bool,
    /// The name that a message's `user_id` must have, which is the connection's user's.
    pub user: String,
    /// How often a message can be returned to a quorum queue that was declared without a limit before it is given up.
    /// RabbitMQ 4.0 has 20, 3.10 has none.
    pub default_delivery_limit: Option<u32>,
    /// Whether what a quorum queue dead-lettered to another comes from there marked as redelivered. RabbitMQ 4.0 says yes,
    /// 3.10 no.
    pub dead_letters_look_redelivered: bool,
    /// Whether a dead letter has the headers `x-last-death-exchange`, `-queue` and `-reason` beside `x-first-death-…`.
    /// RabbitMQ 4.0 says yes, 3.10 no.
    pub last_death_headers: bool,
}
