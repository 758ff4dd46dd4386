//! What handlers saw, for tests that wait for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::within;

/// A list that handlers add to and tests wait on.
#[derive(Debug)]
pub struct Record<T> {
    seen: Arc<Mutex<Vec<T>>>,
    count: watch::Sender<usize>,
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self { seen: Arc::clone(&self.seen), count: self.count.clone() }
    }
}

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self { seen: Arc::default(), count: watch::Sender::new(0) }
    }
}

impl<T: Clone> Record<T> {
    /// Adds something.
    pub fn add(&self, seen: T) {
        let mut list = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(seen);
        let count = list.len();
        drop(list);
        self.count.send_modify(|now| *now = count.max(*now));
    }

    /// How much there is.
    #[must_use]
    pub fn len(&self) -> usize {
        *self.count.borrow()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All so far.
    #[must_use]
    pub fn all(&self) -> Vec<T> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until there is this much, and returns all.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> impl Future<Output = Vec<T>> {
        let record = self.clone();
        let mut changes = self.count.subscribe();
        let caller = std::panic::Location::caller();
        async move {
            let what = format!("{caller}: {count} records");
            let reached = async { _ = changes.wait_for(|now| *now >= count).await };
            within(what, reached).await;
            record.all()
        }
    }
}
