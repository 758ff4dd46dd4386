//! Which broker a service uses.

use std::{fmt, sync::Arc};

use super::{
    Transport,
    amqp::{Address, InvalidUrl},
};

/// Which broker a service uses: what [`Service::broker`](crate::Service::broker) takes. A text is a URL.
///
/// ```
/// use rabbitry::{Broker, Service};
///
/// let service = Service::new("orders").broker(Broker::amqp("amqp://guest:guest@localhost:5672/%2f"));
/// ```
#[derive(Clone)]
pub struct Broker(Choice);

#[derive(Clone)]
enum Choice {
    /// Read when the service is built.
    Url(String),
    Transport(Arc<dyn Transport>),
}

impl Broker {
    /// The RabbitMQ of a URL: `amqp://user:password@host:5672/vhost`, or `amqps://…` with the feature `tls`.
    #[must_use]
    pub fn amqp(url: impl Into<String>) -> Self {
        Self(Choice::Url(url.into()))
    }

    /// What a transport leads to: RabbitMQ by another client, or another broker. Services that are given the same clone use
    /// the same.
    #[must_use]
    pub fn new(transport: impl Transport) -> Self {
        Self(Choice::Transport(Arc::new(transport)))
    }

    /// What a transport leads to that others use, too.
    #[must_use]
    pub fn shared(transport: Arc<dyn Transport>) -> Self {
        Self(Choice::Transport(transport))
    }

    /// The way to it.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn transport(&self) -> Result<Arc<dyn Transport>, InvalidUrl> {
        match &self.0 {
            Choice::Url(url) => Ok(Arc::new(Address::parse(url)?)),
            Choice::Transport(transport) => Ok(Arc::clone(transport)),
        }
    }
}

impl Broker {
    /// Who we are to it; `None` where a transport keeps that to itself.
    pub(crate) fn login(&self) -> Option<Login> {
        match &self.0 {
            Choice::Url(url) => Address::parse(url).ok().map(|address| address.login()),
            Choice::Transport(_) => None,
        }
    }
}

/// Who we are to a RabbitMQ, and which part of it we use.
#[cfg_attr(not(feature = "management"), expect(dead_code, reason = "only the management API needs it"))]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
}

impl From<&str> for Broker {
    fn from(url: &str) -> Self {
        Self::amqp(url)
    }
}

impl From<String> for Broker {
    fn from(url: String) -> Self {
        Self::amqp(url)
    }
}

impl From<&String> for Broker {
    fn from(url: &String) -> Self {
        Self::amqp(url)
    }
}

/// Shows no password.
impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport() {
            Ok(transport) => f.debug_tuple("Broker").field(&transport.address()).finish(),
            Err(invalid) => f.debug_tuple("Broker").field(&invalid.to_string()).finish(),
        }
    }
}
