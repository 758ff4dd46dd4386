//! How far a message has come: settled once and for all between whoever waits for it and the task that writes it.

use std::sync::atomic::{AtomicU8, Ordering};

const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Shared by both sides. It leaves `WAITING` once, by one exchange: either the task writes the message, or its caller
/// withdraws it, and the other side sees which. So a caller that gives up knows whether its message may have arrived.
#[derive(Debug, Default)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    /// The task is about to write it, for the first time or again; false if it was withdrawn.
    pub(super) fn write(&self) -> bool {
        self.leave(WRITTEN)
    }

    /// Its caller gives up; true if it was never written and never will be.
    pub(super) fn withdraw(&self) -> bool {
        self.leave(WITHDRAWN)
    }

    /// Whether it was given to a channel.
    pub(super) fn is_written(&self) -> bool {
        self.0.load(Ordering::Acquire) == WRITTEN
    }

    /// Whether it is there afterwards.
    fn leave(&self, to: u8) -> bool {
        match self.0.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(now) => now == to,
        }
    }
}
