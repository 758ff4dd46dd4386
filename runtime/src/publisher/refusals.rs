//! When a channel by which messages are refused is given up for a new one.

use std::time::{Duration, SystemTime};

/// How long a channel is kept by which the broker refuses messages, the first time.
const FIRST: Duration = Duration::from_millis(250);
/// How long at most, since a new one has not helped so far.
const LONGEST: Duration = Duration::from_secs(64);

/// What is known of the publishing channel by its nacks.
///
/// On RabbitMQ 3.10 a channel that was first used for a quorum queue after the node of the queue's leader had gone, and before
/// another leader was known, refuses every message for that queue for as long as the node is away. A new channel finds the new
/// leader. A queue that is full refuses, too; nothing tells the one from the other, and against it no channel helps. So a
/// channel is kept twice as long each time.
#[derive(Debug)]
pub(super) struct Refusals {
    /// When the channel was opened.
    since: SystemTime,
    /// For how long the next one is kept that refuses.
    kept: Duration,
    stale: bool,
}

impl Refusals {
    pub(super) fn new(now: SystemTime) -> Self {
        Self { since: now, kept: FIRST, stale: false }
    }

    /// A new channel is there.
    pub(super) fn begin(&mut self, now: SystemTime) {
        (self.since, self.stale) = (now, false);
    }

    /// The broker refused a message by it.
    pub(super) fn refused(&mut self, now: SystemTime) {
        // A clock that was set back tells nothing.
        let age = now.duration_since(self.since).unwrap_or_default();
        if self.stale || age < self.kept {
            return;
        }
        self.stale = true;
        // One that was well for so long has nothing to do with the earlier ones.
        self.kept = if age > LONGEST * 2 { FIRST * 2 } else { (self.kept * 2).min(LONGEST) };
    }

    /// Whether it is to be given up.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses all the time, a message each `step`; the ages at which channels were given up, until `end`.
    fn ages(step: Duration, end: Duration) -> Vec<u64> {
        let begin = SystemTime::UNIX_EPOCH;
        let (mut refusals, mut ages, mut since, mut passed) =
            (Refusals::new(begin), Vec::new(), Duration::ZERO, Duration::ZERO);
        while passed < end {
            refusals.refused(begin + passed);
            if refusals.is_stale() {
                ages.push(u64::try_from((passed - since).as_millis()).unwrap());
                since = passed;
                refusals.begin(begin + passed);
            }
            passed += step;
        }
        ages
    }

    #[test]
    fn what_goes_on_refusing_is_given_up_ever_more_rarely() {
        let seen = ages(Duration::from_millis(50), Duration::from_secs(200));
        assert_eq!(seen, [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 64_000]);
    }

    #[test]
    fn what_was_well_for_long_is_given_up_at_once() {
        let begin = SystemTime::UNIX_EPOCH;
        let mut refusals = Refusals { since: begin, kept: LONGEST, stale: false };
        refusals.refused(begin + LONGEST * 3);
        assert!(refusals.is_stale());
        assert_eq!(refusals.kept, FIRST * 2);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_up_nothing() {
        let mut refusals = Refusals::new(SystemTime::UNIX_EPOCH);
        refusals.begin(SystemTime::UNIX_EPOCH + Duration::from_secs(10));
        refusals.refused(SystemTime::UNIX_EPOCH);
        assert!(!refusals.is_stale());
    }
}
