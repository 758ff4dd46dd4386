//! A received event, as arguments are made of it.

use super::Attempt;
use crate::event::{Metadata, Payload};

/// A received event: what [`Argument`](super::Argument)s are made of.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    payload: Payload<'a>,
    metadata: &'a Metadata,
    attempt: Attempt,
}

impl<'a> Received<'a> {
    pub(crate) fn new(payload: Payload<'a>, metadata: &'a Metadata, attempt: Attempt) -> Self {
        Self { payload, metadata, attempt }
    }

    /// The event's name and data.
    #[must_use]
    pub fn payload(&self) -> Payload<'a> {
        self.payload
    }

    /// What travels with it.
    #[must_use]
    pub fn metadata(&self) -> &'a Metadata {
        self.metadata
    }

    /// Which run of the handler on it this is.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }
}
