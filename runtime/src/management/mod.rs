//! RabbitMQ's management API, read-only: what AMQP does not tell of a broker. Nothing here waits for a broker that is not
//! there, and no other module names the HTTP client.
//!
//! Objects are asked for one by one, by their names, so that it does not matter how many others the broker has.

mod address;
mod answers;
mod client;
mod read;

use std::{fmt, sync::Arc};

use address::Address;
use client::Client;

use crate::{
    time::Clock,
    topology::{
        Topology,
        compare::listing::{ListedQueue, Listing},
    },
    transport::Login,
};

/// The way to a management API.
pub(crate) struct Management(Client);

/// Why it could not be read. The text holds no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct ManagementError {
    /// What happened, and what to do.
    pub(crate) text: String,
    /// Whether the same may succeed a little later: it cannot be reached, or is in trouble itself.
    pub(crate) passing: bool,
}

impl Management {
    /// The API at a URL, for the virtual host of a broker's login, which gives the credentials where the URL has none.
    ///
    /// # Errors
    /// What is wrong with the URL, without it.
    pub(crate) fn new(url: &str, login: &Login, clock: &Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self(Client::new(Address::parse(url, login)?, Arc::clone(clock))))
    }

    /// What the broker has of a plan and of its service.
    ///
    /// # Errors
    /// It cannot be read. What a single answer lacks is said in [`Listing::unread`].
    pub(crate) async fn list(&self, service: &str, plan: &Topology) -> Result<Listing, ManagementError> {
        read::list(&self.0, service, plan).await
    }

    /// Some queues, each with what policies set for it; those that are not there are left out.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) async fn queues(&self, names: &[String]) -> Result<Vec<(String, ListedQueue)>, ManagementError> {
        read::queues(&self.0, names).await
    }
}

/// Without the password.
impl fmt::Display for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.address().fmt(f)
    }
}
