//! A received event, as arguments are made of it.

use super::Attempt;
use crate::{
    envelope::Incoming,
    event::{Metadata, Payload},
};

/// A received event: what [`Argument`](super::Argument)s are made of.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    incoming: &'a Incoming<'a>,
    attempt: Attempt,
}

impl<'a> Received<'a> {
    pub(crate) fn new(incoming: &'a Incoming<'a>, attempt: Attempt) -> Self {
        Self { incoming, attempt }
    }

    /// The event's name and data.
    #[must_use]
    pub fn payload(&self) -> Payload<'a> {
        self.incoming.payload()
    }

    /// What travels with it.
    #[must_use]
    pub fn metadata(&self) -> &'a Metadata {
        self.incoming.known()
    }

    /// Which run of the handler on it this is.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }
}
