//! Which handlers have run on what: the demo waits for them.

use std::collections::BTreeMap;

use rabbitry::observe::{self, Next, RunEnd};
use tokio::sync::mpsc;

/// A run after which its event is done, well or not.
#[derive(Clone, Debug)]
pub(super) struct Run {
    handler: String,
    queue: String,
    key: String,
    pub(super) attempt: u32,
    pub(super) well: bool,
}

/// The runs so far.
#[derive(Debug)]
pub(super) struct Runs {
    comes: mpsc::UnboundedReceiver<Run>,
    seen: Vec<Run>,
}

/// Tells of runs.
#[derive(Clone, Debug)]
pub(super) struct Teller(mpsc::UnboundedSender<Run>);

impl Teller {
    /// Tells of a run, unless the event comes again.
    pub(super) fn tell(&self, run: &observe::Run<'_>) {
        let well = match run.end {
            RunEnd::Done { .. } => true,
            RunEnd::Failed { next: Next::DeadLetter, .. } => false,
            _ => return,
        };
        let (handler, queue) = (run.handler.to_owned(), run.queue.to_owned());
        let key = run.key.unwrap_or_default().to_owned();
        // Nobody listens any more when the demo is over.
        _ = self.0.send(Run { handler, queue, key, attempt: run.attempt, well });
    }
}

impl Runs {
    pub(super) fn new() -> (Self, Teller) {
        let (sender, comes) = mpsc::unbounded_channel();
        (Self { comes, seen: Vec::new() }, Teller(sender))
    }

    /// Waits until a handler is done with so many events about this key.
    pub(super) async fn until(&mut self, handler: &str, key: &str, times: usize) {
        while self.of(handler, key).count() < times {
            let Some(run) = self.comes.recv().await else { break };
            self.seen.push(run);
        }
    }

    /// The runs of a handler on events about this key.
    pub(super) fn of(&self, handler: &str, key: &str) -> impl Iterator<Item = &Run> {
        self.seen.iter().filter(move |run| run.handler == handler && run.key == key)
    }

    /// How many events of which queue went to the dead letters.
    pub(super) fn dead(&mut self) -> BTreeMap<String, usize> {
        while let Ok(run) = self.comes.try_recv() {
            self.seen.push(run);
        }
        let mut dead = BTreeMap::new();
        for run in self.seen.iter().filter(|run| !run.well) {
            *dead.entry(run.queue.clone()).or_default() += 1;
        }
        dead
    }
}
