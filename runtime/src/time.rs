//! Time: durations as people write them, and the clock that all waiting goes through.

use std::{
    fmt,
    task::Poll,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::BoxFuture};

/// A length of time: a [`Duration`], or a text like `"1s"`, `"90s"`, `"1h 30m"`, `"30d"`.
pub trait IntoDuration {
    /// The duration.
    ///
    /// # Errors
    /// The text is no length of time.
    fn into_duration(self) -> Result<Duration, InvalidDuration>;
}

impl IntoDuration for Duration {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        Ok(self)
    }
}

impl IntoDuration for &str {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        humantime::parse_duration(self)
            .map_err(|error| InvalidDuration { text: self.to_owned(), reason: error.to_string() })
    }
}

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a length of time ({reason}); write a number and a unit: \"500ms\", \"1s\", \"5m\", \"1h\", \"30d\""
)]
pub struct InvalidDuration {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Where the time comes from and what waits for it: all waiting of rabbitry's own in a service goes through one clock.
///
/// [`SystemClock`] is the default; a test can bring one of its own with [`Service::clock`](crate::Service::clock), which
/// ends a wait whenever the test says so. What the broker times (the delay ladder) is not its.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> SystemTime;

    /// Waits.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock, with tokio's timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Waits for something, so long at most; `None` when that is over. The time begins when there is something to wait for: what
/// is there at once needs no timer.
pub(crate) async fn within<T>(clock: &dyn Clock, time: Duration, waiting: impl Future<Output = T>) -> Option<T> {
    let (mut waiting, mut over) = (std::pin::pin!(waiting), None);
    std::future::poll_fn(|context| match waiting.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => over.get_or_insert_with(|| clock.sleep(time)).poll_unpin(context).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests;
