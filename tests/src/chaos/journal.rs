//! All that the processes say, as it comes in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{ledger::Ledger, line::Line};

/// How often those who wait look again, at most: a look may go through the whole ledger.
const LOOK: Duration = Duration::from_millis(20);

/// What was said so far, and a way to wait for more.
#[derive(Debug)]
pub(crate) struct Journal {
    began: Instant,
    said: Mutex<Said>,
    /// How many lines there are.
    lines: watch::Sender<u64>,
}

/// What was said so far.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ledger: Ledger,
    /// The processes that are ready, or were.
    pub(crate) ready: BTreeSet<Arc<str>>,
    /// The newest probe that each process took from each queue.
    pub(crate) probes: BTreeMap<(Arc<str>, String), u64>,
    /// How many events were published.
    pub(crate) published: usize,
    /// When each event was published that has no answer yet.
    waiting: BTreeMap<String, Instant>,
    /// The latest moment at which each source published something that was confirmed.
    pub(crate) confirmed: BTreeMap<Arc<str>, Instant>,
    /// Lines that nobody understands.
    pub(crate) strange: Vec<String>,
}

impl Journal {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let said = Said {
            ledger: Ledger::new(seed),
            ready: BTreeSet::new(),
            probes: BTreeMap::new(),
            published: 0,
            waiting: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            strange: Vec::new(),
        };
        Arc::new(Self { began: Instant::now(), said: Mutex::new(said), lines: watch::Sender::new(0) })
    }

    /// How long the run has lasted.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// How many lines were said.
    pub(crate) fn lines(&self) -> u64 {
        *self.lines.borrow()
    }

    /// Takes a line of a process.
    pub(crate) fn take(&self, who: &Arc<str>, line: &str) {
        self.with(|said| match line.parse() {
            Ok(line) => said.take(who, self.now(), &line),
            Err(strange) => said.strange.push(format!("{who}: {strange}")),
        });
        self.lines.send_modify(|lines| *lines += 1);
    }

    /// Does something with what was said.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        look(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until this gives something; `None` after so long.
    pub(crate) async fn until<T>(&self, limit: Duration, mut look: impl FnMut(&mut Said) -> Option<T>) -> Option<T> {
        let mut lines = self.lines.subscribe();
        let waiting = async {
            loop {
                lines.mark_unchanged();
                if let Some(found) = self.with(&mut look) {
                    return found;
                }
                let next = async {
                    _ = lines.changed().await;
                    tokio::time::sleep(LOOK).await;
                };
                next.await;
            }
        };
        tokio::time::timeout(limit, waiting).await.ok()
    }
}

impl Said {
    fn take(&mut self, who: &Arc<str>, at: Duration, line: &Line) {
        match line {
            Line::Ready => _ = self.ready.insert(Arc::clone(who)),
            Line::Probe { handler, number } => {
                let newest = self.probes.entry((Arc::clone(who), handler.clone())).or_default();
                *newest = (*newest).max(*number);
            }
            Line::Sent { subject } => {
                self.published += 1;
                self.waiting.insert(subject.clone(), Instant::now());
            }
            Line::Confirmed { subject } => {
                if let Some(sent) = self.waiting.remove(subject) {
                    let latest = self.confirmed.entry(Arc::clone(who)).or_insert(sent);
                    *latest = sent.max(*latest);
                }
            }
            Line::Unknown { subject, .. } | Line::Refused { subject, .. } => _ = self.waiting.remove(subject),
            Line::Begun { .. } | Line::Effect { .. } | Line::Failed { .. } | Line::Done { .. } => {}
        }
        self.ledger.take(who, at, line);
    }

    /// Forgets what a dead process waited for.
    pub(crate) fn gone(&mut self, subjects_of: &str) {
        self.waiting.retain(|subject, _| !subject.starts_with(subjects_of));
    }

    /// Whether every publisher has its answer.
    pub(crate) fn all_answered(&self) -> bool {
        self.waiting.is_empty()
    }
}
