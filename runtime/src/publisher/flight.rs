//! What is on its way on one publishing channel.

use std::{collections::HashSet, sync::Arc};

use futures_util::{future::BoxFuture, stream::FuturesUnordered};

use super::confirms::Confirms;
use crate::{time::Clock, transport::Returned};

/// What is on its way on one channel.
pub(super) struct InFlight {
    pub(super) confirms: Confirms,
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

impl InFlight {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            confirms: Confirms::new(clock),
            resting: FuturesUnordered::new(),
            confirmed: Vec::new(),
            returned: HashSet::new(),
            overdue: HashSet::new(),
        }
    }

    /// Whether the broker owes no answer, but overdue ones.
    pub(super) fn is_complete(&self) -> bool {
        self.confirms.len() <= self.overdue.len()
    }
}
