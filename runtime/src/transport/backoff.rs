//! How long to wait before trying again what a broker or a network refused.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);

/// Waits that double from 0.1 s to 3 s, each a random share of itself, so that what failed together does not come back
/// together.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait.
    pub(crate) fn next(&mut self) -> Duration {
        let ceiling = FIRST.saturating_mul(1u32.checked_shl(self.tries).unwrap_or(u32::MAX)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        ceiling.mul_f64(fastrand::f64())
    }

    /// How many waits there were.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether this try is worth a line in the log: the first, and then ever fewer.
    pub(crate) fn is_worth_a_line(&self) -> bool {
        self.tries <= 1 || self.tries.is_power_of_two() || self.tries.is_multiple_of(64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_three_seconds() {
        let mut backoff = Backoff::default();
        for ceiling in [100, 200, 400, 800, 1600, 3000, 3000] {
            assert!(backoff.next() <= Duration::from_millis(ceiling));
        }
        let mut late = Backoff { tries: u32::MAX };
        assert!((0..100).map(|_| late.next()).max() > Some(Duration::from_secs(1)));
        assert_eq!(late.tries(), u32::MAX);
    }
}
