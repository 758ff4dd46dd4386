//! A clock that runs with the machine's and can be moved ahead of it.

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::time::Clock;

/// What tokio's timers are asked for at most: they have a limit of some years.
const A_DAY: Duration = Duration::from_secs(86_400);

/// A clock that runs with the machine's, and jumps ahead when a test says so. Waits end when it has passed their time, one
/// way or the other: a handler's own waiting is real, and the five hours of a retry are not.
#[derive(Clone, Debug)]
pub struct TestClock {
    /// By how much it is ahead of the machine's.
    ahead: watch::Sender<Duration>,
}

impl TestClock {
    /// One that shows the machine's time.
    #[must_use]
    pub fn new() -> Self {
        Self { ahead: watch::Sender::new(Duration::ZERO) }
    }

    /// Moves it ahead; what waited for less goes on.
    pub fn advance(&self, by: Duration) {
        self.ahead.send_modify(|ahead| *ahead = ahead.saturating_add(by));
    }

    /// Moves it to this time, if that is ahead.
    pub fn advance_to(&self, time: SystemTime) {
        if let Ok(by) = time.duration_since(self.now()) {
            self.advance(by);
        }
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_add(*self.ahead.borrow()).unwrap_or(now)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (clock, began) = (self.clone(), self.now());
        Box::pin(async move {
            let mut ahead = clock.ahead.subscribe();
            loop {
                ahead.borrow_and_update();
                let passed = clock.now().duration_since(began).unwrap_or_default();
                let Some(rest) = duration.checked_sub(passed).filter(|rest| !rest.is_zero()) else { return };
                tokio::select! {
                    () = tokio::time::sleep(rest.min(A_DAY)) => {}
                    // We hold a sender.
                    _ = ahead.changed() => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_the_clock_has_passed_its_time() {
        let clock = TestClock::new();
        let mut years = clock.sleep(Duration::from_secs(1 << 28));
        let mut second = clock.sleep(Duration::from_millis(20));
        assert!((&mut years).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        second.await;
        clock.advance(Duration::from_secs((1 << 28) - 1));
        assert!((&mut years).now_or_never().is_none());
        clock.advance(Duration::from_secs(1));
        years.await;
    }
}
