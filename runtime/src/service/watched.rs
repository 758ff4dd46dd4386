//! A subscription as it is seen from outside its task: what `health` tells of it, and what the watchdog notes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{LastError, SubscriptionHealth};
use crate::{
    consumer::{Sign, Stuck},
    transport::{Lifecycle, Shown},
};

pub(super) struct Watched {
    pub(super) handler: String,
    pub(super) queue: Arc<str>,
    /// Whether its queue is one that others made: an existing one.
    pub(super) foreign: bool,
    pub(super) concurrency: usize,
    pub(super) sign: Sign,
    pub(super) stuck: Stuck,
    /// How many dead letters it has.
    pub(super) dead: Arc<Count>,
    /// Whether its task has not been at work for long: a handler holds its thread.
    pub(super) held: AtomicBool,
}

/// A number that is not known yet.
#[derive(Debug)]
pub(super) struct Count(AtomicU64);

const UNKNOWN: u64 = u64::MAX;

impl Default for Count {
    fn default() -> Self {
        Self(AtomicU64::new(UNKNOWN))
    }
}

impl Count {
    pub(super) fn read(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|count| *count != UNKNOWN)
    }

    pub(super) fn set(&self, count: Option<u64>) {
        self.0.store(count.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}

impl Watched {
    pub(super) fn health(&self) -> SubscriptionHealth {
        let shown = self.sign.life().read();
        let (stuck, stuck_because) = self.stuck.read().unzip();
        let stuck = stuck.unwrap_or_default();
        let runs = shown.state == Lifecycle::Running;
        let held = self.held.load(Ordering::Relaxed);
        let problem = if !runs {
            Some(match &shown.last_error {
                Some((_, error)) if shown.state != Lifecycle::Closed => format!("it is {}: {error}", shown.state),
                _ => format!("it is {}", shown.state),
            })
        } else if held {
            Some("its task does not run: a handler holds the thread; declare it `blocking`, or await in it".to_owned())
        } else {
            stuck_because.map(|reason| {
                format!("what follows from {stuck} of its events cannot be published, and they wait: {reason}")
            })
        };
        SubscriptionHealth {
            handler: self.handler.clone(),
            queue: self.queue.to_string(),
            state: shown.state,
            since: shown.since,
            last_delivery: self.sign.last_delivery(),
            in_flight: self.sign.in_flight(),
            stuck,
            dead_letters: self.dead.read(),
            consuming: runs && !held && stuck < self.concurrency,
            problem,
            last_error: last_error(&shown),
        }
    }
}

pub(super) fn last_error(shown: &Shown) -> Option<LastError> {
    shown.last_error.as_ref().map(|(at, error)| LastError { at: *at, text: error.to_string() })
}
