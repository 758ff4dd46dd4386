//! The dead letters that a queue keeps until another queue has them: `x-dead-letter-strategy=at-least-once`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::ready::Held;
use crate::transport::memory::state::{death::Reason, letter::Letter};

/// How many are under way at once; all others wait behind them, even if only they could move on (measured: 31 that no queue
/// takes let others pass, 33 do not).
const UNDER_WAY: usize = 32;
/// How long those under way wait to be tried again. A binding that is made meanwhile changes nothing (measured: 166 to 176 s).
const RETRY: Duration = Duration::from_secs(180);

/// See the module.
#[derive(Debug, Default)]
pub(in crate::transport::memory::state) struct Mover {
    /// Not tried yet.
    waiting: VecDeque<(Reason, Held)>,
    /// Tried in vain, in the order in which they died.
    stuck: BTreeMap<u64, Stuck>,
    /// The number of the next that gets stuck.
    next: u64,
    /// The size of all their bodies.
    bytes: u64,
    /// When those that are stuck are tried again. RabbitMQ's timer: it starts with the first of them, not with each.
    pub(super) retry: Option<SystemTime>,
}

/// A dead letter that not every queue took that it should reach.
#[derive(Debug)]
pub(in crate::transport::memory::state) struct Stuck {
    pub(in crate::transport::memory::state) reason: Reason,
    /// As it goes out.
    pub(in crate::transport::memory::state) letter: Arc<Letter>,
    /// The queues that have it.
    pub(in crate::transport::memory::state) stored: BTreeSet<Arc<str>>,
    /// When it was last sent to a queue; `None` if none was there to send it to.
    pub(in crate::transport::memory::state) tried: Option<SystemTime>,
}

impl Mover {
    /// How many it keeps: they count as the queue's for its limits, yet not as ready.
    pub(in crate::transport::memory::state) fn len(&self) -> usize {
        self.waiting.len() + self.stuck.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn push(&mut self, reason: Reason, held: Held) {
        self.bytes = self.bytes.saturating_add(held.letter.size());
        self.waiting.push_back((reason, held));
    }

    /// The next to try; `None` while as many as may be are stuck.
    pub(super) fn take(&mut self) -> Option<(Reason, Held)> {
        if self.stuck.len() >= UNDER_WAY { None } else { self.waiting.pop_front() }
    }

    /// Forgets one that arrived.
    pub(super) fn arrived(&mut self, letter: &Letter) {
        self.bytes = self.bytes.saturating_sub(letter.size());
    }

    /// Keeps one that did not.
    pub(super) fn keep(&mut self, stuck: Stuck) {
        self.next += 1;
        self.stuck.insert(self.next, stuck);
    }

    /// Puts one back that was tried again in vain.
    pub(super) fn put_back(&mut self, number: u64, stuck: Stuck) {
        self.stuck.insert(number, stuck);
    }

    /// Takes out those that are to be tried again, once it is time.
    pub(super) fn due(&mut self, now: SystemTime) -> Vec<(u64, Stuck)> {
        if self.retry.is_none_or(|retry| retry > now) {
            return Vec::new();
        }
        self.retry = None;
        // What was sent to a full queue shortly before waits for the next time.
        let is_due =
            |stuck: &Stuck| stuck.tried.is_none_or(|tried| tried.checked_add(RETRY).is_some_and(|again| again <= now));
        let (due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.stuck).into_iter().partition(|(_, stuck)| is_due(stuck));
        self.stuck.extend(rest);
        due
    }

    /// Sets the timer, or stops it when nothing is stuck.
    pub(super) fn set_timer(&mut self, now: SystemTime) {
        if self.stuck.is_empty() {
            self.retry = None;
        } else if self.retry.is_none() {
            self.retry = now.checked_add(RETRY);
        }
    }
}
