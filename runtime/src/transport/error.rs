//! Why something asked of a broker was not done.

/// Why something asked of a broker was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The broker cannot be reached, or the connection or channel is gone: the same may succeed on a new one.
    #[error("{reason}")]
    Lost {
        /// What happened.
        reason: String,
    },
    /// The broker has it and cannot reach it for now: a node of its cluster is away. The same may succeed later, on the same
    /// connection.
    #[error("RabbitMQ cannot reach it for now: {reason}")]
    Away {
        /// What the broker said.
        reason: String,
    },
    /// The broker answered no, and will again.
    #[error("RabbitMQ refused it: {code} {text}")]
    Refused {
        /// AMQP's reply code.
        code: u16,
        /// What the broker said.
        text: String,
    },
    /// It does not fit AMQP, so it was not even asked.
    #[error("it cannot be written as AMQP: {text}")]
    Unwritable {
        /// What is wrong with it.
        text: String,
    },
}

impl TransportError {
    pub(crate) fn lost(reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into() }
    }
}

/// AMQP's code for what exists with other arguments, or a message that breaks a rule.
pub(crate) const PRECONDITION_FAILED: u16 = 406;
/// AMQP's code for what does not exist.
pub(crate) const NOT_FOUND: u16 = 404;
/// AMQP's code for what the user may not do.
pub(crate) const ACCESS_REFUSED: u16 = 403;
/// AMQP's code for a virtual host that does not exist or is not the user's.
pub(crate) const NOT_ALLOWED: u16 = 530;
