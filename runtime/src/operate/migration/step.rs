//! What a migration tells on its way.

use std::fmt;

/// A step of a migration, told of when it is done. The order in which they come is no promise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A queue is there, made or found.
    Made {
        /// Its name.
        queue: String,
    },
    /// A queue is bound.
    Bound {
        /// Its name.
        queue: String,
        /// To this exchange.
        exchange: String,
        /// By this routing key.
        routing_key: String,
    },
    /// A queue is not bound any more.
    Unbound {
        /// Its name.
        queue: String,
        /// From this exchange.
        exchange: String,
        /// By this routing key.
        routing_key: String,
    },
    /// Messages of a queue are stored in the other one, too.
    Copied {
        /// Where they come from.
        from: String,
        /// How many.
        messages: u64,
    },
    /// They are gone from where they came from.
    Moved {
        /// Where they came from.
        from: String,
        /// How many.
        messages: u64,
    },
    /// A queue is empty and left.
    Left {
        /// Its name.
        queue: String,
    },
    /// A queue is deleted.
    Deleted {
        /// Its name.
        queue: String,
    },
    /// The queue is as planned, and nothing else is left.
    Done {
        /// Its name.
        queue: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made { queue } => write!(f, "queue {queue} is there"),
            Self::Bound { queue, exchange, routing_key } => write!(f, "bound {queue} to {exchange} by `{routing_key}`"),
            Self::Unbound { queue, exchange, routing_key } => {
                write!(f, "unbound {queue} from {exchange} by `{routing_key}`")
            }
            Self::Copied { from, messages } => write!(f, "copied {messages} messages of {from}"),
            Self::Moved { from, messages } => write!(f, "moved {messages} messages out of {from}"),
            Self::Left { queue } => write!(f, "queue {queue} is empty, and nobody uses it"),
            Self::Deleted { queue } => write!(f, "deleted queue {queue}"),
            Self::Done { queue } => write!(f, "queue {queue} is as planned"),
        }
    }
}
