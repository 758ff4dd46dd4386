//! How a subscription is, where its task shows it and `health` reads it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::watch;

use crate::transport::TransportError;

/// How a subscription is, for `health`.
#[derive(Clone, Debug)]
pub(crate) enum ConsumerState {
    Starting,
    Consuming,
    /// It receives nothing, for this reason, and is subscribing again.
    Lost(String),
    /// The broker says no. It is asked again all the same.
    Refused(TransportError),
    Stopped,
}

/// Where a consumer shows how it is.
#[derive(Clone, Debug)]
pub(crate) struct Sign(watch::Sender<ConsumerState>);

impl Default for Sign {
    fn default() -> Self {
        Self(watch::Sender::new(ConsumerState::Starting))
    }
}

impl Sign {
    pub(crate) fn read(&self) -> ConsumerState {
        self.0.borrow().clone()
    }

    /// Waits until it consumes, or has stopped before.
    ///
    /// # Errors
    /// The broker says no.
    pub(crate) async fn consuming(&self) -> Result<(), TransportError> {
        let known = |state: &ConsumerState| !matches!(state, ConsumerState::Starting | ConsumerState::Lost(_));
        // We hold a sender, so it cannot be closed.
        let _ = self.0.subscribe().wait_for(known).await;
        match self.read() {
            ConsumerState::Refused(error) => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn show(&self, state: ConsumerState) {
        self.0.send_replace(state);
    }
}

/// The runs of a subscription whose effects cannot be made safe: the handler has ended, and what follows from it cannot be
/// published. Each keeps its delivery and its place among the runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stuck(Arc<Runs>);

#[derive(Debug, Default)]
struct Runs {
    count: AtomicUsize,
    /// Why the latest of them is.
    reason: Mutex<String>,
}

impl Stuck {
    /// How many there are, and why.
    pub(crate) fn read(&self) -> Option<(usize, String)> {
        match self.0.count.load(Ordering::Relaxed) {
            0 => None,
            count => Some((count, self.0.reason.lock().unwrap_or_else(PoisonError::into_inner).clone())),
        }
    }

    /// One run, which is not stuck yet.
    pub(super) fn run(&self) -> StuckRun {
        StuckRun { all: self.clone(), counted: false }
    }
}

/// One run, counted from its first failure until it is dropped.
pub(super) struct StuckRun {
    all: Stuck,
    counted: bool,
}

impl StuckRun {
    /// It cannot go on, for this reason.
    pub(super) fn because(&mut self, reason: &dyn std::fmt::Display) {
        let Runs { count, reason: latest } = &*self.all.0;
        *latest.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_string();
        if !std::mem::replace(&mut self.counted, true) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for StuckRun {
    fn drop(&mut self) {
        if self.counted {
            self.all.0.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
