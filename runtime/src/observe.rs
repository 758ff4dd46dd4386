//! What a service tells of its handlers' runs, for logs of one's own, counts and tests.

use std::{fmt, time::Duration};

use crate::envelope::Reason;

/// Is told of every run of a service's handlers when it has ended, on the task that ran it: whatever takes long belongs
/// elsewhere.
///
/// ```
/// use rabbitry::{AnyEvent, Service, observe::Run};
///
/// let service = Service::new("audit")
///     .subscribe("order.*", |event: AnyEvent| async move { println!("{}", event.name()) })
///     .observer(|run: &Run<'_>| println!("{} {} {} ms: {}", run.event, run.queue, run.took.as_millis(), run.end));
/// ```
pub trait Observer: Send + Sync + 'static {
    /// A run has ended. One that went well is told of once its effects are safe, a failed one when it is known what
    /// follows. Of one whose channel was lost meanwhile nothing is told: its event comes again, with the same attempt.
    fn ran(&self, run: &Run<'_>);
}

impl<F: Fn(&Run<'_>) + Send + Sync + 'static> Observer for F {
    fn ran(&self, run: &Run<'_>) {
        self(run);
    }
}

/// One run of a handler.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run<'a> {
    /// The service's name.
    pub service: &'a str,
    /// The handler's name.
    pub handler: &'a str,
    /// The queue that the event came from.
    pub queue: &'a str,
    /// The event's name; of a message that cannot be read, its routing key.
    pub event: &'a str,
    /// The event's id, if it has one.
    pub id: Option<&'a str>,
    /// The event's `#[key]` as text, if it has one: what the event is about.
    pub key: Option<&'a str>,
    /// The service that published it, if it says so.
    pub source: Option<&'a str>,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// How many there are at most.
    pub of: u32,
    /// How it ended.
    pub end: RunEnd<'a>,
    /// How long it took, the publishing of what it returned included.
    pub took: Duration,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RunEnd<'a> {
    /// Well, and its effects are safe.
    Done {
        /// How many events it returned.
        published: usize,
    },
    /// It failed, or could not even begin.
    Failed {
        /// Why.
        reason: Reason,
        /// The error and what caused it, in words.
        error: &'a str,
        /// What follows.
        next: Next,
    },
}

/// What follows a failed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// It runs again at once.
    Again,
    /// It runs again after this time.
    After(Duration),
    /// The event goes to the dead letters.
    DeadLetter,
}

impl fmt::Display for RunEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { published: 0 } => write!(f, "ok"),
            Self::Done { published } => write!(f, "ok, {published} published"),
            Self::Failed { reason, error, next } => write!(f, "failed ({reason}: {error}), {next}"),
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again => write!(f, "again at once"),
            Self::After(delay) => write!(f, "again in {delay:?}"),
            Self::DeadLetter => write!(f, "to the dead letters"),
        }
    }
}
