//! The messages of a queue that nobody has, in the order in which they are given out.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use crate::transport::memory::state::letter::Letter;

/// A message in one queue.
#[derive(Debug)]
pub(in crate::transport::memory::state) struct Held {
    pub(super) letter: Arc<Letter>,
    /// From when on it is dead, if it is then at the queue's head.
    pub(super) expires: Option<SystemTime>,
    pub(super) position: Position,
    /// How often this queue got it back.
    pub(super) returned: u32,
    /// How often it failed, in quorum queues before this one too: rejected, or lost with its channel.
    pub(super) failures: u32,
}

/// A message's place: what quorum queues got back comes before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Position {
    Returned(u64),
    Arrived(u64),
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::transport::memory::state) struct Ready {
    messages: BTreeMap<Position, Held>,
    /// The size of all their bodies, as if none were shared.
    bytes: u64,
    /// The number of the next position.
    next: u64,
}

impl Ready {
    pub(in crate::transport::memory::state) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A number higher than all before.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn insert(&mut self, held: Held) {
        self.bytes = self.bytes.saturating_add(held.letter.size());
        self.messages.insert(held.position, held);
    }

    pub(super) fn pop(&mut self) -> Option<Held> {
        let (_, held) = self.messages.pop_first()?;
        self.bytes = self.bytes.saturating_sub(held.letter.size());
        Some(held)
    }

    /// The first message if its time is over.
    pub(super) fn pop_expired(&mut self, now: SystemTime) -> Option<Held> {
        if self.expires()? <= now { self.pop() } else { None }
    }

    /// When the first message's time is over.
    pub(super) fn expires(&self) -> Option<SystemTime> {
        self.messages.first_key_value().and_then(|(_, held)| held.expires)
    }

    /// Drops all and says how many there were.
    pub(super) fn clear(&mut self) -> usize {
        self.bytes = 0;
        std::mem::take(&mut self.messages).len()
    }
}
