//! Why a migration did not come to its end.

use crate::{service::BuildError, time::InvalidDuration, topology::Topology, transport::TransportError};

/// Why a migration did not come to its end. Nothing is lost then, whatever the reason, and it can be run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The service's plan breaks a rule, or it has no broker.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The queue is none that the service's plan makes for a handler.
    #[error("queue `{queue}` is none that the plan makes for a handler; these are: {known}")]
    NoWorkQueue {
        /// The queue.
        queue: String,
        /// Those that are.
        known: String,
    },
    /// The quiet time makes no sense.
    #[error("the quiet time {0}")]
    Quiet(InvalidDuration),
    /// Something consumes the queue, or has messages of it in hand.
    #[error(
        "queue `{queue}` has consumers, or some that ended and did not settle all that they were given ({consumers}): stop every instance of the service and whatever else consumes it, keep them stopped, and run this again"
    )]
    InUse {
        /// The queue.
        queue: String,
        /// How many there are.
        consumers: u64,
    },
    /// The queue may be a classic one, and those do not tell whether somebody still has messages in hand.
    #[error(
        "queue `{queue}` may be a classic one, which does not tell AMQP whether a consumer that was stopped still has messages in hand. Give the management API's URL (--management-url), so that it can be looked up; or, once every instance of the service has ended, say so (--all-stopped)"
    )]
    Unproven {
        /// The queue.
        queue: String,
    },
    /// The management API says that there are still messages, which are neither ready nor with a consumer that is known.
    #[error(
        "queue `{queue}` is empty, but the management API still counts {messages} messages: somebody has them in hand, or its dead letters cannot be delivered. Look at its page there, and run this again"
    )]
    Held {
        /// The queue.
        queue: String,
        /// How many.
        messages: u64,
    },
    /// Messages go on coming to the queue that is to be left.
    #[error(
        "messages keep coming to queue `{queue}` though it was unbound: something binds it again (keep every instance of the service stopped), publishes straight to it, or it has bindings that are not in the plan (give --management-url, and they move along)"
    )]
    KeepsComing {
        /// The queue.
        queue: String,
    },
    /// The broker did not store messages that were to be moved. They are still where they were.
    #[error("messages from queue `{queue}` are not stored where they are to go, so they stay: {reason}")]
    NotStored {
        /// Where they are.
        queue: String,
        /// What the broker said.
        reason: String,
    },
    /// A later rabbitry made the queue.
    #[error(
        "queue `{queue}` was made by a later rabbitry, which alone knows what belongs to it: run that one's `topology migrate`"
    )]
    Later {
        /// The queue.
        queue: String,
    },
    /// A binding that is not in the plan cannot be moved along.
    #[error(
        "queue `{queue}` is bound to exchange `{exchange}` by `{routing_key}` with an argument that is neither text, whole number nor boolean: remove the binding, and make it again afterwards"
    )]
    OddBinding {
        /// The queue.
        queue: String,
        /// Where the binding comes from.
        exchange: String,
        /// Its routing key.
        routing_key: String,
    },
    /// The management API cannot be read.
    #[error("the management API at {management} cannot be read: {reason}")]
    Management {
        /// Where it is, without the password.
        management: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// The broker refused something.
    #[error("queue `{queue}`: RabbitMQ at {broker} answered {code}: {text}")]
    Refused {
        /// The queue.
        queue: String,
        /// The broker's address, without the password.
        broker: String,
        /// AMQP's reply code.
        code: u16,
        /// What the broker said, and what to do.
        text: String,
    },
    /// The broker cannot be reached, was lost, or cannot reach the queue for now.
    #[error("queue `{queue}`: lost RabbitMQ at {broker}: {reason}; run this again when it is there, and it goes on")]
    Lost {
        /// The queue.
        queue: String,
        /// The broker's address, without the password.
        broker: String,
        /// What happened.
        reason: String,
    },
}

impl MigrateError {
    pub(super) fn new(queue: &str, broker: &str, error: TransportError) -> Self {
        let (queue, broker) = (queue.to_owned(), broker.to_owned());
        match error {
            TransportError::Refused { code, text } => Self::Refused { queue, broker, code, text },
            TransportError::Lost { reason }
            | TransportError::Away { reason }
            | TransportError::Unwritable { text: reason } => Self::Lost { queue, broker, reason },
        }
    }

    pub(super) fn no_work_queue(queue: &str, plan: &Topology) -> Self {
        let known: Vec<String> = plan.work_queues().map(|queue| format!("`{}`", queue.name)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Self::NoWorkQueue { queue: queue.to_owned(), known }
    }
}
