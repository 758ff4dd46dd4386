//! How a running service is.

use std::time::SystemTime;

use crate::{
    topology::{PolicyInTheWay, undeliverable},
    transport::Lifecycle,
};

/// How a running service is, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The connection that publishes, and its channel.
    pub publishing: ConnectionHealth,
    /// The connection that consumes; `None` for a service without subscriptions.
    pub consuming: Option<ConnectionHealth>,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionHealth>,
    /// How many events no queue was bound for, since the start.
    pub unrouted: u64,
    /// How many messages lie in `rabbitry.v1.undeliverable`, of all services that share it: their queue is gone. `None` if
    /// the plan has no such queue, or before it was counted. It is counted at the start and then every 30 s.
    pub undeliverable: Option<u64>,
    /// How many dead letters of a subscription, and how many undeliverable messages, are too many: see
    /// [`Service::dead_letter_limit`](crate::Service::dead_letter_limit).
    pub dead_letter_limit: u64,
    /// The policies of the broker that are in the way of the service's work queues and their dead letters, as seen in the
    /// last minute; none are seen without [`Service::management_url`](crate::Service::management_url). Each is a warning in
    /// the log, too, and degrades the status.
    pub policies: Vec<PolicyInTheWay>,
    /// The work queues that a length limit has made full, as seen in the last minute by the management API: they refuse
    /// events and retries.
    pub full: Vec<String>,
    /// Whether it has begun to stop.
    pub stopping: bool,
}

/// What a running service's health comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Status {
    /// It does all it is there for.
    Healthy,
    /// It does, but somebody should look: [`Health::problems`] says at what.
    Degraded,
    /// It does not: a connection is away or blocked, a subscription receives nothing, or it stops.
    Unhealthy,
}

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionHealth {
    /// Where it is in its life.
    pub state: Lifecycle,
    /// Since when.
    pub since: SystemTime,
    /// The node of the broker that it leads to, or led to last, as the URL has it: `host:port`. `None` before there was any.
    pub node: Option<String>,
    /// Why the broker takes nothing from it at the moment: a memory or disk alarm.
    pub blocked: Option<String>,
    /// What went wrong last; it may be long over.
    pub last_error: Option<LastError>,
}

/// How a subscription is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionHealth {
    /// The handler's name.
    pub handler: String,
    /// Its queue.
    pub queue: String,
    /// Where it is in its life.
    pub state: Lifecycle,
    /// Since when.
    pub since: SystemTime,
    /// When the latest event was delivered to it.
    pub last_delivery: Option<SystemTime>,
    /// How many events it works on just now.
    pub in_flight: usize,
    /// How many of those are stuck: their handler has ended, but what follows from it (returned events, a retry, a dead
    /// letter) cannot be published. It is sent again until it can; nothing is acknowledged before.
    pub stuck: usize,
    /// How many dead letters it has, counted at the start and then every 30 s; `None` before, and where the queue
    /// cannot be looked at.
    pub dead_letters: Option<u64>,
    /// Whether it does its work: it is subscribed, its task runs, and not all of its `concurrency` is stuck.
    pub consuming: bool,
    /// What keeps it from its work, or part of it.
    pub problem: Option<String>,
    /// What it was lost or refused for last; it may be long over.
    pub last_error: Option<LastError>,
}

/// What went wrong last, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastError {
    /// When.
    pub at: SystemTime,
    /// What.
    pub text: String,
}

impl ConnectionHealth {
    /// Whether it works, and the broker takes what it publishes.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == Lifecycle::Running && self.blocked.is_none()
    }

    fn problem(&self, name: &str) -> Option<String> {
        match (&self.blocked, &self.last_error) {
            (Some(reason), _) => Some(format!("RabbitMQ takes nothing from the {name} connection: {reason}")),
            (None, Some(error)) if self.state != Lifecycle::Running => {
                Some(format!("the {name} connection is {}: {}", self.state, error.text))
            }
            (None, _) => (self.state != Lifecycle::Running).then(|| format!("the {name} connection is {}", self.state)),
        }
    }
}

impl Health {
    /// What it comes to: is it well, should somebody look, or does it not work?
    ///
    /// A probe that restarts a process should not ask for more than that it answers: a service without its broker waits and
    /// comes back by itself. One that routes requests to it should ask [`is_ready`](Self::is_ready).
    #[must_use]
    pub fn status(&self) -> Status {
        let up = self.publishing.is_up() && self.consuming.as_ref().is_none_or(ConnectionHealth::is_up);
        if self.stopping || !up || self.subscriptions.iter().any(|subscription| !subscription.consuming) {
            Status::Unhealthy
        } else if self.problems().is_empty() {
            Status::Healthy
        } else {
            Status::Degraded
        }
    }

    /// Whether the service does what it is there for: both connections work and every subscription receives events.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status() != Status::Unhealthy
    }

    /// All that is wrong, a sentence each, for people.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.stopping {
            problems.push("the service stops".to_owned());
        }
        problems.extend(self.publishing.problem("publishing"));
        problems.extend(self.consuming.as_ref().and_then(|connection| connection.problem("consuming")));
        for subscription in &self.subscriptions {
            let SubscriptionHealth { handler, queue, dead_letters, problem, .. } = subscription;
            if let Some(problem) = problem {
                problems.push(format!("handler {handler} (queue {queue}): {problem}"));
            }
            if let Some(dead) = dead_letters.filter(|dead| *dead > self.dead_letter_limit) {
                problems.push(format!(
                    "handler {handler} has {dead} dead letters in {queue}.dead, more than {}: find out why, then replay or remove them",
                    self.dead_letter_limit
                ));
            }
        }
        if let Some(count) = self.undeliverable.filter(|count| *count > self.dead_letter_limit) {
            problems.push(format!(
                "{count} messages are undeliverable, more than {}: the queues that they were for are gone; they wait in {}",
                self.dead_letter_limit,
                undeliverable()
            ));
        }
        problems.extend(self.full.iter().map(|queue| {
            format!(
                "queue {queue} is full and refuses events and retries: have it handled faster, or take its limit away"
            )
        }));
        problems.extend(self.policies.iter().map(|policy| format!("{policy}; {}", policy.cure())));
        problems
    }
}
