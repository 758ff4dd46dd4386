//! A handler's error and what it decides about the event.

use std::{error::Error, fmt, time::Duration};

type BoxError = Box<dyn Error + Send + Sync>;

/// The error of a handler: what went wrong, and whether a retry may help.
///
/// `?` makes one of whatever is `Into<Box<dyn Error + Send + Sync>>`: your error types, `anyhow::Error`, boxes, strings.
/// Such an error means: retry by the subscription's policy. For another decision use
/// [`or_reject`](HandlerResultExt::or_reject) and [`or_retry_after`](HandlerResultExt::or_retry_after), or the constructors.
///
/// ```
/// use std::time::Duration;
/// use rabbitry::{HandlerError, prelude::*};
///
/// fn price(text: &str) -> Result<u32, HandlerError> {
///     let price = text.parse::<u32>().or_reject()?;   // no retry makes a number of it
///     if price == 0 {
///         return Err(HandlerError::retry_after("no price yet", Duration::from_secs(60)));
///     }
///     Ok(price)
/// }
/// assert!(price("seven").is_err());
/// ```
///
/// It is not itself a `std::error::Error`: only so can `?` make it from all of them.
pub struct HandlerError {
    verdict: Verdict,
    error: BoxError,
}

/// What a handler's error decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Retry by the policy.
    Retry,
    /// Retry after this time, if attempts are left.
    RetryAfter(Duration),
    /// To the dead letters at once.
    Reject,
}

impl HandlerError {
    /// No retry will help: the event goes to the dead letters at once.
    #[must_use]
    pub fn reject(error: impl Into<BoxError>) -> Self {
        Self { verdict: Verdict::Reject, error: error.into() }
    }

    /// Retry after `delay`, rounded up to whole seconds, instead of the policy's next; it counts as an attempt.
    ///
    /// A delay longer than the service's ladder holds is shortened to that, with a warning:
    /// [`Service::schedules_up_to`](crate::Service::schedules_up_to) makes it longer.
    #[must_use]
    pub fn retry_after(error: impl Into<BoxError>, delay: Duration) -> Self {
        Self { verdict: Verdict::RetryAfter(delay), error: error.into() }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    pub(crate) fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { verdict: Verdict::Retry, error: error.into() }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError").field("verdict", &self.verdict).field("error", &self.error).finish()
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// Decides about a failed step of a handler; in [`rabbitry::prelude`](crate::prelude).
pub trait HandlerResultExt<T> {
    /// On an error: no retry will help, the event goes to the dead letters at once.
    ///
    /// # Errors
    /// The same error, with that decision.
    fn or_reject(self) -> Result<T, HandlerError>;

    /// On an error: retry after this time, rounded up to whole seconds, instead of the policy's next.
    ///
    /// # Errors
    /// The same error, with that decision.
    fn or_retry_after(self, delay: Duration) -> Result<T, HandlerError>;
}

impl<T, E: Into<BoxError>> HandlerResultExt<T> for Result<T, E> {
    fn or_reject(self) -> Result<T, HandlerError> {
        self.map_err(HandlerError::reject)
    }

    fn or_retry_after(self, delay: Duration) -> Result<T, HandlerError> {
        self.map_err(|error| HandlerError::retry_after(error, delay))
    }
}

/// An error and what caused it, as one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Many errors repeat their cause in their own text.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
