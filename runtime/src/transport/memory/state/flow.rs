//! What queues give out while they work: deliveries to channels, effects for the outside, and the dead.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{Effect, channel::Channels, death::Reason, letter::Letter};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) channels: Channels,
    /// For the outside, in the order in which they happened.
    pub(super) effects: Vec<Effect>,
    /// Dead letters on their way to where they are routed, at most once.
    pub(super) dead: VecDeque<(Reason, Arc<Letter>)>,
    /// The queues that may have a dead letter of their own to move, at least once.
    pub(super) movers: BTreeSet<Arc<str>>,
    /// How many messages died and reached no other queue.
    pub(super) lost: BTreeMap<Reason, u64>,
}

impl Flow {
    pub(super) fn lose(&mut self, reason: Reason) {
        *self.lost.entry(reason).or_default() += 1;
    }
}
