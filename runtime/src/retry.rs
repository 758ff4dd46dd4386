//! The retry policy: a pure value that says, after a failed run, when to run again or to give up.
//! No clock and no randomness of its own in here.

use std::time::Duration;

/// How often and when a failing handler runs again.
///
/// | after run | what happens |
/// | --- | --- |
/// | 1 to `immediate` | again at once, in this process |
/// | then | again after `first × factor^n`, at most `max`, in the delay ladder on the broker, stretched by up to `jitter` |
/// | `attempts` | no more: the event goes to the dead letters |
///
/// With the defaults (7 attempts, 1 of them immediate, 1 s, × 4, at most 1 h, a quarter) a handler runs, runs again, and
/// then after 1, 4, 16, 64 and 256 s. Delays are whole seconds.
///
/// ```
/// use std::time::Duration;
/// use rabbitry::RetryPolicy;
///
/// let policy = RetryPolicy::default().attempts(4).immediate(0).first(Duration::from_secs(2)).factor(3.0);
/// let delays: Vec<_> = policy.delays().map(|delay| delay.as_secs()).collect();
/// assert_eq!(delays, [2, 6, 18]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    pub(crate) attempts: u32,
    pub(crate) immediate: u32,
    pub(crate) first: Duration,
    pub(crate) factor: f64,
    pub(crate) max: Duration,
    pub(crate) jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 7,
            immediate: 1,
            first: Duration::from_secs(1),
            factor: 4.0,
            max: Duration::from_secs(3600),
            jitter: 0.25,
        }
    }
}

/// What to do after a failed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Run again at once, in this process.
    Immediately,
    /// Run again after this time, a number of whole seconds.
    After(Duration),
    /// All attempts are used.
    GiveUp,
}

impl RetryPolicy {
    /// How often the handler runs in all, the first time included. Default: 7.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How many runs follow the first at once, in the same process. Default: 1.
    #[must_use]
    pub fn immediate(mut self, immediate: u32) -> Self {
        self.immediate = immediate;
        self
    }

    /// The first delay, rounded up to whole seconds. Default: 1 s.
    #[must_use]
    pub fn first(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// By what each delay is longer than the one before. Default: 4.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The longest delay before jitter. Default: 1 h.
    #[must_use]
    pub fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// The share of itself by which a delay is stretched at most, at random and to the second, so that what failed together
    /// does not come back together; 0 to 1. Default: 0.25.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// The delays, without jitter, in their order.
    pub fn delays(&self) -> impl Iterator<Item = Duration> {
        (0..self.delayed()).map(|n| self.delay(n))
    }

    /// Decides what follows the failed run number `attempt` (from 1); `random` is from 0 to 1 and picks the jitter.
    pub(crate) fn decide(&self, attempt: u32, random: f64) -> Decision {
        if attempt >= self.attempts {
            Decision::GiveUp
        } else if attempt <= self.immediate {
            Decision::Immediately
        } else {
            Decision::After(self.stretch(self.delay(attempt - 1 - self.immediate), random))
        }
    }

    /// The longest delay that [`decide`](Self::decide) can say.
    pub(crate) fn longest(&self) -> Option<Duration> {
        // Delays never become shorter, so the last is the longest.
        self.delayed().checked_sub(1).map(|n| self.stretch(self.delay(n), 1.0))
    }

    /// How many runs wait in the ladder before them.
    fn delayed(&self) -> u32 {
        self.attempts.saturating_sub(1).saturating_sub(self.immediate)
    }

    /// The first thing that is wrong with it: which setting, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.attempts == 0 {
            return Err(("attempts", "is 0, but the first run counts as one: 1 means no retry".to_owned()));
        }
        if !(self.factor >= 1.0 && self.factor.is_finite()) {
            return Err((
                "factor",
                format!("is {}, but delays cannot become shorter: 1 keeps them equal", self.factor),
            ));
        }
        if self.max < self.first {
            return Err(("max", format!("is {:?}, less than first, which is {:?}", self.max, self.first)));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(("jitter", format!("is {}, but it is a share from 0 to 1", self.jitter)));
        }
        let longest = Duration::from_secs(LONGEST_SECONDS);
        if self.longest().is_some_and(|delay| delay > longest) {
            return Err((
                "max",
                format!("is {:?}, but the longest delay with jitter is {longest:?} (8.5 years)", self.max),
            ));
        }
        Ok(())
    }

    /// Delay number `n` from 0, in whole seconds.
    fn delay(&self, n: u32) -> Duration {
        let first = self.first.as_secs_f64();
        // A factor's power can be infinite, and no time of it is still no time.
        let grown = if first == 0.0 { 0.0 } else { first * self.factor.powf(f64::from(n)) };
        let capped = grown.min(self.max.as_secs_f64());
        // Rust's `as` saturates: what is too large is caught by `check`.
        Duration::from_secs(capped.ceil() as u64)
    }

    /// A whole number of seconds between `delay` and a `jitter` share more, all equally likely.
    fn stretch(&self, delay: Duration, random: f64) -> Duration {
        let room = (delay.as_secs_f64() * self.jitter).floor();
        let extra = (random * (room + 1.0)).floor().min(room);
        delay.saturating_add(Duration::from_secs(extra as u64))
    }
}

/// The longest delay of the ladder's 28 levels, in seconds.
pub(crate) const LONGEST_SECONDS: u64 = (1 << 28) - 1;

#[cfg(test)]
mod tests;
