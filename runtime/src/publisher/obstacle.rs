//! What keeps events from being published, for the errors of those who give up.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use crate::{
    time::Clock,
    transport::{Connection, ConnectionState},
};

/// What kept an event from being published in time, as it was when its caller's time was over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The connection to the broker is lost, and is being made again.
    Away {
        /// Since when.
        since: SystemTime,
        /// How it was lost.
        reason: String,
    },
    /// The broker takes nothing from publishers: a memory or disk alarm.
    Blocked {
        /// What the broker says, `low on memory` for example.
        reason: String,
    },
    /// The [window](crate::Service::publish_window) is full of events that have no confirm yet.
    WindowFull {
        /// How many events it holds.
        size: usize,
    },
    /// The broker is there and gives no confirm: it is slow, or a queue has no leader.
    Slow,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away { since, reason } => {
                let since = humantime::format_rfc3339_seconds(*since);
                write!(f, "the connection to RabbitMQ is lost since {since} ({reason})")
            }
            Self::Blocked { reason } => write!(f, "RabbitMQ takes nothing from publishers ({reason})"),
            Self::WindowFull { size } => {
                write!(f, "the publish window is full of {size} events that RabbitMQ has not confirmed")
            }
            Self::Slow => f.write_str("RabbitMQ is slow to confirm, or a queue of it has no leader"),
        }
    }
}

/// How the publishing task stands with the broker: it writes here, whoever gives up reads.
pub(super) struct Standing {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Weak, so that a publisher that somebody keeps does not keep the connection open.
    connection: Option<Weak<dyn Connection>>,
    /// Since when there is no channel, and why.
    lost: Option<(SystemTime, String)>,
}

impl Standing {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    /// There is a connection.
    pub(super) fn connected(&self, connection: &Arc<dyn Connection>) {
        self.lock().connection = Some(Arc::downgrade(connection));
    }

    /// Messages can be written.
    pub(super) fn well(&self) {
        self.lock().lost = None;
    }

    /// Nothing can be written, until it is well again.
    pub(super) fn lost(&self, reason: String) {
        let mut inner = self.lock();
        let since = inner.lost.as_ref().map_or_else(|| self.clock.now(), |(since, _)| *since);
        inner.lost = Some((since, reason));
    }

    /// What is in the way now, as far as the broker is.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        let inner = self.lock();
        let state = inner.connection.as_ref().and_then(Weak::upgrade).map(|connection| connection.state());
        match (state, &inner.lost) {
            (Some(ConnectionState::Blocked(reason)), _) => Some(Obstacle::Blocked { reason }),
            (_, Some((since, reason))) => Some(Obstacle::Away { since: *since, reason: reason.clone() }),
            // Before the task has noticed.
            (Some(ConnectionState::Lost(reason)), None) => Some(Obstacle::Away { since: self.clock.now(), reason }),
            (Some(ConnectionState::Open) | None, None) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
