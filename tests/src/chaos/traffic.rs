//! How events are shared out among the sources and over time: dense at first, then ever thinner, never over.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinHandle};

/// How often events are handed out.
const TICK: Duration = Duration::from_millis(50);
/// The share of what is left that is handed out each time: a tenth of a round's events is left after nine seconds.
const SHARE: f64 = 0.0125;

/// Who hands out.
#[derive(Debug)]
pub(crate) struct Traffic {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// What is not handed out yet.
    left: f64,
    /// What is due, and not yet a whole event.
    due: f64,
    paused: bool,
    /// Where events are handed to, by source.
    sources: Vec<Option<mpsc::UnboundedSender<u64>>>,
    next: usize,
}

impl Traffic {
    pub(crate) fn new(sources: usize) -> Self {
        let state = State { sources: vec![None; sources], ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let ticking = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            loop {
                tick.tick().await;
                lock(&ticking).hand_out(SHARE);
            }
        });
        Self { state, task }
    }

    /// Connects a source.
    pub(crate) fn connect(&self, source: usize, events: mpsc::UnboundedSender<u64>) {
        lock(&self.state).sources[source] = Some(events);
    }

    /// Lets go of all sources, which end once nobody can hand them anything.
    pub(crate) fn disconnect(&self) {
        lock(&self.state).sources.fill(None);
    }

    /// Adds events to be handed out.
    pub(crate) fn add(&self, events: usize) {
        lock(&self.state).left += events as f64;
    }

    /// Hands out all that is left, at once.
    pub(crate) fn rush(&self) {
        lock(&self.state).hand_out(1.0);
    }

    /// Hands out nothing until told to.
    pub(crate) fn pause(&self, paused: bool) {
        lock(&self.state).paused = paused;
    }

    /// Has each source publish one event more, so that it shows whether it can.
    pub(crate) fn ask(&self) {
        let mut state = lock(&self.state);
        for source in state.sources.iter().flatten() {
            let _ = source.send(1);
        }
        state.left -= state.sources.len() as f64;
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn hand_out(&mut self, share: f64) {
        if self.paused || self.left <= 0.0 || self.sources.iter().all(Option::is_none) {
            return;
        }
        self.due += (self.left * share).max(0.05).min(self.left);
        while self.due >= 1.0 {
            self.next = (self.next + 1) % self.sources.len();
            if let Some(source) = &self.sources[self.next] {
                let _ = source.send(1);
                self.due -= 1.0;
                self.left -= 1.0;
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
