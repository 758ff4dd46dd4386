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
    ///
    /// The nodes of a cluster are named in one URL, with commas between the hosts:
    /// `amqp://user:password@a:5672,b:5672,c:5672/vhost`. What else the URL says holds for all of them. Each of a service's two
    /// connections, and each attempt to have one back, begins with another node and tries all in turn, for 10 seconds each; it
    /// begins anywhere, so that services spread over the nodes. The first one that answers will do: a node leads to every queue
    /// of its cluster. A refusal (credentials, virtual host) of one node counts for all, if no other one takes the connection.
    ///
    /// A load balancer before the nodes, or a host name that resolves to all of their addresses, does as well. Then the 10
    /// seconds are for all addresses together.
    ///
    /// ```
    /// use rabbitry::{Broker, Service};
    ///
    /// let broker = Broker::amqp("amqp://shop:secret@a.internal,b.internal,c.internal/%2f");
    /// assert!(!format!("{broker:?}").contains("secret"));
    /// let service = Service::new("orders").broker(broker);
    /// ```
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
#[derive(Default)]
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
