//! What keeps events from being published, for the errors of those who give up.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use crate::{
    time::Clock,
    transport::{Connection, ConnectionState, Life, Lifecycle, Shown, Subject},
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
    /// The life of its channel.
    pub(super) life: Life,
    clock: Arc<dyn Clock>,
    /// Weak, so that a publisher that somebody keeps does not keep the connection open.
    connection: Mutex<Option<Weak<dyn Connection>>>,
}

impl Standing {
    pub(super) fn new(service: &str, clock: Arc<dyn Clock>) -> Self {
        let life = Life::new(Subject::Publishing { service: service.to_owned() }, Arc::clone(&clock));
        Self { life, clock, connection: Mutex::default() }
    }

    /// There is a connection.
    pub(super) fn connected(&self, connection: &Arc<dyn Connection>) {
        *self.lock() = Some(Arc::downgrade(connection));
    }

    /// What is in the way now, as far as the broker is.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        let connection = self.lock().as_ref().and_then(Weak::upgrade);
        match (connection.map(|connection| connection.state()), interruption(&self.life)) {
            (Some(ConnectionState::Blocked(reason)), _) => Some(Obstacle::Blocked { reason }),
            (_, Some(shown)) => {
                let reason = shown.last_error.map(|(_, error)| error.to_string()).unwrap_or_default();
                Some(Obstacle::Away { since: shown.since, reason })
            }
            // Before the task has noticed.
            (Some(ConnectionState::Lost(reason)), None) => Some(Obstacle::Away { since: self.clock.now(), reason }),
            (Some(ConnectionState::Open) | None, None) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Weak<dyn Connection>>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the channel is, while there is none because of an error.
pub(super) fn interruption(life: &Life) -> Option<Shown> {
    let shown = life.read();
    let waits = matches!(shown.state, Lifecycle::Connecting | Lifecycle::Recovering);
    (waits && shown.last_error.is_some()).then_some(shown)
}
