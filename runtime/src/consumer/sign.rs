//! How a subscription is, where its task shows it and `health` reads it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::{
    time::Clock,
    transport::{Life, Lifecycle, Subject, TransportError},
};

/// Where a consumer shows how it is.
#[derive(Clone, Debug)]
pub(crate) struct Sign(Arc<Signs>);

#[derive(Debug)]
struct Signs {
    life: Life,
    /// The queue that it consumes now: a broadcast subscription has another one on each connection.
    queue: Mutex<Arc<str>>,
    in_flight: AtomicUsize,
    /// When the latest delivery came, in ms since 1970; 0 before the first.
    delivered: AtomicU64,
    /// When its task was last seen at work, likewise.
    ticked: AtomicU64,
}

impl Sign {
    pub(crate) fn new(subject: Subject, queue: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        let ticked = AtomicU64::new(milliseconds(clock.now()));
        Self(Arc::new(Signs {
            life: Life::new(subject, clock),
            queue: Mutex::new(queue),
            in_flight: AtomicUsize::new(0),
            delivered: AtomicU64::new(0),
            ticked,
        }))
    }

    pub(crate) fn life(&self) -> &Life {
        &self.0.life
    }

    /// The queue that it consumes now.
    pub(crate) fn queue(&self) -> Arc<str> {
        Arc::clone(&self.0.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn consumes(&self, queue: &str) {
        *self.0.queue.lock().unwrap_or_else(PoisonError::into_inner) = queue.into();
    }

    /// How many deliveries it works on.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn works_on(&self, runs: usize) {
        self.0.in_flight.store(runs, Ordering::Relaxed);
    }

    /// When the latest delivery came.
    pub(crate) fn last_delivery(&self) -> Option<SystemTime> {
        match self.0.delivered.load(Ordering::Relaxed) {
            0 => None,
            milliseconds => SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)),
        }
    }

    pub(super) fn delivered(&self, now: SystemTime) {
        self.0.delivered.store(milliseconds(now), Ordering::Relaxed);
    }

    /// For how long its task has not been seen at work. It shows itself each second, unless a handler holds its thread.
    pub(crate) fn silent_for(&self, now: SystemTime) -> Duration {
        let seen = self.0.ticked.load(Ordering::Relaxed).max(self.0.delivered.load(Ordering::Relaxed));
        Duration::from_millis(milliseconds(now).saturating_sub(seen))
    }

    pub(super) fn ticked(&self, now: SystemTime) {
        self.0.ticked.store(milliseconds(now), Ordering::Relaxed);
    }

    /// Waits until it consumes, or has stopped before.
    ///
    /// # Errors
    /// The broker says no.
    pub(crate) async fn consuming(&self) -> Result<(), TransportError> {
        let begins = |state| matches!(state, Lifecycle::Connecting | Lifecycle::Declaring);
        let shown = self.life().wait_for(|shown| !begins(shown.state) || shown.refused().is_some()).await;
        shown.refused().cloned().map_or(Ok(()), Err)
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
