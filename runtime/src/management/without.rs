//! What stands for the management API in a rabbitry without the feature `management`: there is none.

use std::{convert::Infallible, fmt, sync::Arc};

use crate::{
    time::Clock,
    topology::{
        Topology,
        compare::listing::{ListedQueue, Listing},
    },
    transport::Login,
};

/// There is none of these.
pub(crate) struct Management(Infallible);

/// There is none of these, either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct ManagementError {
    pub(crate) text: String,
    pub(crate) passing: bool,
}

impl Management {
    pub(crate) fn new(_: &str, _: &Login, _: &Arc<dyn Clock>) -> Result<Self, String> {
        Err("is set, but rabbitry was built without its feature `management`".to_owned())
    }

    #[allow(clippy::unused_async, reason = "the other one is")]
    pub(crate) async fn list(&self, _: &str, _: &Topology) -> Result<Listing, ManagementError> {
        match self.0 {}
    }

    #[allow(clippy::unused_async, reason = "the other one is")]
    pub(crate) async fn queues(&self, _: &[String]) -> Result<Vec<(String, ListedQueue)>, ManagementError> {
        match self.0 {}
    }
}

impl fmt::Display for Management {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}
