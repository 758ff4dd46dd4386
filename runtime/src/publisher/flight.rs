//! What is on its way on one publishing channel.

use std::collections::HashSet;

use futures_util::{future::BoxFuture, stream::FuturesUnordered};

use crate::transport::{Confirm, Confirmed, Returned, TransportError};

/// What is on its way on one channel.
#[derive(Default)]
pub(super) struct InFlight {
    pub(super) confirms: FuturesUnordered<BoxFuture<'static, (u64, Answered)>>,
    /// Jobs that the broker would not store, each until its wait is over.
    pub(super) resting: FuturesUnordered<BoxFuture<'static, u64>>,
    /// With `Unrouted::Fail`: what is confirmed and not yet answered, and the ids and ways of what came back, until all confirms
    /// of the batch are in. lapin attaches a returned message to whichever confirm comes next. Until then the jobs stay
    /// unconfirmed: when the channel is lost before, nobody knows whether they came back, and they are sent again.
    pub(super) confirmed: Vec<u64>,
    pub(super) returned: HashSet<Returned>,
    /// Those of `confirms` that nobody waits for: they take far too long.
    pub(super) overdue: HashSet<u64>,
}

pub(super) type Answered = Result<(Confirmed, Option<Returned>), TransportError>;

impl InFlight {
    /// Whether the broker owes no answer, but overdue ones.
    pub(super) fn is_complete(&self) -> bool {
        self.confirms.len() <= self.overdue.len()
    }

    pub(super) fn add(&mut self, number: u64, confirm: Confirm) {
        self.confirms.push(Box::pin(async move { (number, confirm.await) }));
    }
}
