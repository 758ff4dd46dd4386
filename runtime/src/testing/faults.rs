//! What a test has told to break, each once.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

/// What the test has told to break.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) cuts: watch::Sender<u64>,
    /// How many confirms are yet to become nacks.
    confirms: AtomicU64,
    /// Queues whose next acknowledgement does not arrive because the consumer ends before.
    crashes: Mutex<Vec<String>>,
    /// Queues whose next acknowledgement becomes a second delivery.
    twice: Mutex<Vec<String>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            cuts: watch::Sender::new(0),
            confirms: AtomicU64::new(0),
            crashes: Mutex::default(),
            twice: Mutex::default(),
        }
    }
}

impl Faults {
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(super) fn fail_confirms(&self, count: u64) {
        self.confirms.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn crash(&self, queue: &str) {
        lock(&self.crashes).push(queue.to_owned());
    }

    pub(super) fn deliver_twice(&self, queue: &str) {
        lock(&self.twice).push(queue.to_owned());
    }

    pub(super) fn fails_confirm(&self) -> bool {
        self.confirms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    pub(super) fn crashes(&self, queue: &str) -> bool {
        taken(&self.crashes, queue)
    }

    pub(super) fn delivers_twice(&self, queue: &str) -> bool {
        taken(&self.twice, queue)
    }
}

fn taken(queues: &Mutex<Vec<String>>, queue: &str) -> bool {
    let mut queues = lock(queues);
    let found = queues.iter().position(|other| other == queue);
    found.map(|position| queues.swap_remove(position)).is_some()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
