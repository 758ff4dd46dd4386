//! What can go wrong with a service, phase by phase.

use std::time::Duration;

use crate::{
    handler::MissingResource,
    topology::Comparison,
    transport::{TransportError, amqp::InvalidUrl},
};

/// Why a service cannot be built: found before any I/O.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The service's name breaks the rules.
    #[error("service name `{name}` {reason}")]
    ServiceName {
        /// The name.
        name: String,
        /// The rule, and what to do.
        reason: String,
    },
    /// A setting of the service has a value that makes no sense.
    #[error("service `{service}`: `{setting}` {reason}")]
    Setting {
        /// The service's name.
        service: String,
        /// The method that sets it.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A subscription has a setting, a name or a type that makes no sense.
    #[error("handler `{handler}`: `{setting}` {reason}")]
    Handler {
        /// The handler's name.
        handler: String,
        /// The option or part of it.
        setting: &'static str,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Two handlers would consume one queue, and each would get half of the events.
    #[error(
        "handlers `{first}` and `{second}` have one queue, `{queue}`, so each would get only some of the events: give one of them another name with `name = \"…\"`"
    )]
    OneQueue {
        /// The queue.
        queue: String,
        /// A handler.
        first: String,
        /// Another one.
        second: String,
    },
    /// An exchange is named with two types.
    #[error("exchange `{exchange}` is named as {first} and as {second}: it can only be one")]
    ExchangeType {
        /// The exchange.
        exchange: String,
        /// A type.
        first: String,
        /// Another one.
        second: String,
    },
    /// A handler wants state that the service was not given.
    #[error("handler `{handler}`: {missing}")]
    MissingState {
        /// The handler's name.
        handler: String,
        /// What it wants.
        missing: MissingResource,
    },
    /// Two values of one type were given as state.
    #[error("state of type `{type_name}` is given twice: wrap one of the values in a type of its own")]
    StateTwice {
        /// The type's path.
        type_name: &'static str,
    },
    /// `subscriptions!()` found no handler.
    #[error(
        "subscriptions!() found no #[subscribe] function in `{module}` or below: call it in the module above the handlers, or list them: subscriptions![a, b]"
    )]
    NoneFound {
        /// The calling module.
        module: &'static str,
    },
    /// The service neither listens to anything nor says anything.
    #[error(
        "service `{service}` has neither subscriptions nor events that it publishes: add `.subscriptions(…)` or `.publishes::<E>()`"
    )]
    Nothing {
        /// The service's name.
        service: String,
    },
    /// There is no broker.
    #[error(
        "service `{service}` has no broker: set AMQP_URL, for example to amqp://guest:guest@localhost:5672/%2f, or call `.broker(…)`"
    )]
    NoBroker {
        /// The service's name.
        service: String,
    },
    /// The broker's URL cannot be used.
    #[error(transparent)]
    Broker(#[from] InvalidUrl),
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The broker refused the service or its plan.
    #[error("service `{service}` cannot start: RabbitMQ at {broker} answered {code}: {text}")]
    Refused {
        /// The service's name.
        service: String,
        /// The broker's address, without the password.
        broker: String,
        /// AMQP's reply code: 403 for credentials and permissions, 406 for what is there with other arguments, 530 for a
        /// virtual host that is not there.
        code: u16,
        /// What the broker said, and what to do.
        text: String,
    },
    /// The broker could not be reached, or could not be consumed from, for as long as the service was to wait.
    #[error("service `{service}` cannot start: RabbitMQ at {broker} was not there within {waited:?}: {reason}")]
    Unreachable {
        /// The service's name.
        service: String,
        /// The broker's address, without the password.
        broker: String,
        /// [`Service::start_timeout`](crate::Service::start_timeout).
        waited: Duration,
        /// What went wrong last.
        reason: String,
    },
    /// With [`TopologyMode::Verify`](crate::TopologyMode::Verify) and the management API: what is there breaks the plan.
    #[error("service `{service}` cannot start: RabbitMQ at {broker} differs from its plan:\n{comparison}")]
    Differs {
        /// The service's name.
        service: String,
        /// The broker's address, without the password.
        broker: String,
        /// All differences; the ones that break something are [`Comparison::breaking`].
        comparison: Comparison,
    },
    /// With [`TopologyMode::Verify`](crate::TopologyMode::Verify): the management API says no, for a reason that does not pass.
    #[error("service `{service}` cannot start: the management API at {management}: {reason}")]
    Management {
        /// The service's name.
        service: String,
        /// Where it is, without the password.
        management: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// The connection was lost while starting.
    #[error("service `{service}` cannot start: lost RabbitMQ at {broker}: {reason}")]
    Lost {
        /// The service's name.
        service: String,
        /// The broker's address, without the password.
        broker: String,
        /// What happened.
        reason: String,
    },
}

impl StartError {
    pub(super) fn new(service: &str, broker: &impl ToString, error: TransportError) -> Self {
        let (service, broker) = (service.to_owned(), broker.to_string());
        match error {
            TransportError::Refused { code, text } => Self::Refused { service, broker, code, text },
            TransportError::Lost { reason }
            | TransportError::Away { reason }
            | TransportError::Unwritable { text: reason } => Self::Lost { service, broker, reason },
        }
    }
}

/// What was cut off at the end of the grace period. Nothing is lost: events that were not acknowledged come again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "service `{service}` was stopped with work in hand (runs of handlers: {}; messages without a confirm: {unconfirmed}); the events come again",
    cut_off.iter().map(|(handler, runs)| format!("{handler} {runs}")).collect::<Vec<_>>().join(", ")
)]
pub struct ShutdownError {
    /// The service's name.
    pub service: String,
    /// The handlers whose runs were cut off, and how many runs each.
    pub cut_off: Vec<(String, usize)>,
    /// How many messages had no confirm.
    pub unconfirmed: usize,
}

/// Why [`Service::run`](crate::Service::run) ended with an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It did not stop in time.
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
    /// A task of the service panicked, which is a bug of rabbitry: the log tells of it. The service was stopped, and all that it
    /// had in hand comes again.
    #[error("service `{service}` stopped over a bug of rabbitry; the log has it")]
    Broken {
        /// The service's name.
        service: String,
    },
    /// The process cannot listen for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
}

/// A publisher was asked for, of events that the service does not declare.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("service `{service}` does not declare that it publishes {events}: add `.publishes::<…>()` where it is built")]
pub struct UndeclaredEvent {
    /// The service's name.
    pub service: String,
    /// The names of the events.
    pub events: String,
}
