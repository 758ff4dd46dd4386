//! How a running service is.

use crate::topology::PolicyInTheWay;

/// How a running service is, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The connection that publishes.
    pub publishing: ConnectionHealth,
    /// The connection that consumes; `None` for a service without subscriptions.
    pub consuming: Option<ConnectionHealth>,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionHealth>,
    /// How many events no queue was bound for, since the start.
    pub unrouted: u64,
    /// The policies of the broker that are in the way of the service's work queues and their dead letters, as seen in the
    /// last minute; none are seen without [`Service::management_url`](crate::Service::management_url). Each is a warning in
    /// the log, too.
    pub policies: Vec<PolicyInTheWay>,
    /// The work queues that a length limit has made full, as seen in the last minute by the management API: they refuse
    /// events and retries.
    pub full: Vec<String>,
    /// Whether it has begun to stop.
    pub stopping: bool,
}

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionHealth {
    /// It works.
    Up,
    /// The broker takes nothing from it (a memory or disk alarm), for this reason.
    Blocked(String),
    /// It is gone, for this reason, and is being made again.
    Down(String),
}

/// How a subscription is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionHealth {
    /// The handler's name.
    pub handler: String,
    /// Its queue.
    pub queue: String,
    /// Whether it receives events: it is subscribed, and not all of its `concurrency` is stuck.
    pub consuming: bool,
    /// How many of its events are stuck: their handler has ended, but what follows from it (returned events, a retry, a dead
    /// letter) cannot be published. It is sent again until it can; nothing is acknowledged before.
    pub stuck: usize,
    /// Why it receives nothing, or why events are stuck.
    pub reason: Option<String>,
}

impl Health {
    /// Whether the service does all it is there for: both connections work and every subscription receives events.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.stopping
            && self.publishing == ConnectionHealth::Up
            && self.consuming.as_ref().is_none_or(|connection| *connection == ConnectionHealth::Up)
            && self.subscriptions.iter().all(|subscription| subscription.consuming)
    }
}
