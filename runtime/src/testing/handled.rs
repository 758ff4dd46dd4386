//! What a handler did.

use std::time::{Duration, SystemTime};

use super::log::Ended;
use crate::{Reason, observe::Next};

/// What a handler did, run by run.
#[derive(Clone, Debug)]
pub struct Handled {
    /// The handler's name.
    pub handler: String,
    /// Its runs, in the order in which they ended.
    pub runs: Vec<HandlerRun>,
}

/// One run of a handler.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HandlerRun {
    /// The event's name.
    pub event: String,
    /// The event's id.
    pub id: Option<String>,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// Why it failed and with which error; `None` if it ended well.
    pub failure: Option<(Reason, String)>,
    /// What followed a failure.
    pub next: Option<Next>,
    /// When it began, by the test's clock.
    pub began: SystemTime,
}

impl Handled {
    pub(super) fn of(handler: &str, runs: Vec<Ended>) -> Self {
        let run = |run: Ended| {
            let (failure, next) = run.failed.map(|(reason, error, next)| ((reason, error), next)).unzip();
            HandlerRun { event: run.event, id: run.id, attempt: run.attempt, failure, next, began: run.began }
        };
        Self { handler: handler.to_owned(), runs: runs.into_iter().map(run).collect() }
    }

    /// How often it ran.
    #[must_use]
    pub fn times(&self) -> usize {
        self.runs.len()
    }

    /// How often it ended well.
    #[must_use]
    pub fn successes(&self) -> usize {
        self.runs.iter().filter(|run| run.failure.is_none()).count()
    }

    /// The number of each run's attempt.
    #[must_use]
    pub fn attempts(&self) -> Vec<u32> {
        self.runs.iter().map(|run| run.attempt).collect()
    }

    /// The errors of the runs that failed.
    #[must_use]
    pub fn errors(&self) -> Vec<&str> {
        self.runs.iter().filter_map(|run| run.failure.as_ref()).map(|(_, error)| error.as_str()).collect()
    }

    /// How long it was waited after each failed run that was retried later.
    #[must_use]
    pub fn delays(&self) -> Vec<Duration> {
        let delay = |run: &HandlerRun| match run.next {
            Some(Next::After(delay)) => Some(delay),
            _ => None,
        };
        self.runs.iter().filter_map(delay).collect()
    }
}
