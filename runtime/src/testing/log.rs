//! What passed on the wire and what handlers made of it, in the order in which it happened.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::faults::Faults;
use crate::{
    Reason,
    envelope::{self, HeaderValue, Message, headers},
    observe::{Next, Observer, Run, RunEnd},
    time::Clock,
    transport::{Confirmed, Delivery, Returned},
};

/// How many lines of the story are kept.
const LINES: usize = 2_000;

/// What a test knows.
#[derive(Debug)]
pub(super) struct Log {
    clock: Arc<dyn Clock>,
    began: SystemTime,
    pub(super) faults: Faults,
    /// Messages whose confirm is awaited.
    pub(super) unconfirmed: AtomicUsize,
    /// Deliveries that are not settled.
    pub(super) in_hand: AtomicUsize,
    entries: Mutex<Entries>,
    /// Grows with whatever happens.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Entries {
    story: Vec<Line>,
    published: Vec<Message>,
    /// What was published already, so that what is sent again is seen once.
    known: HashSet<(Option<String>, String)>,
    runs: Vec<Ended>,
    /// How many retries are in the delay ladder, by the queue that they come back to.
    later: BTreeMap<String, i64>,
    /// Runs of broadcast handlers that wait in the process for their next attempt: until when, by queue and id.
    sleeping: BTreeMap<(String, Option<String>), SystemTime>,
    /// The queues of broadcast handlers.
    broadcast: HashSet<String>,
}

#[derive(Debug)]
struct Line {
    after: Duration,
    text: String,
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) queue: String,
    pub(super) event: String,
    pub(super) id: Option<String>,
    pub(super) attempt: u32,
    pub(super) failed: Option<(Reason, String, Next)>,
    pub(super) at: SystemTime,
    pub(super) took: Duration,
}

impl Log {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            began: clock.now(),
            clock,
            faults: Faults::default(),
            unconfirmed: AtomicUsize::new(0),
            in_hand: AtomicUsize::new(0),
            entries: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Says which queue's handler keeps its retries in the process.
    pub(super) fn is_broadcast(&self, queue: String) {
        self.entries().broadcast.insert(queue);
    }

    /// Adds a line to the story.
    pub(super) fn say(&self, id: Option<&str>, what: &str) {
        let after = self.clock.now().duration_since(self.began).unwrap_or_default();
        let text = match id {
            Some(id) => format!("{} {what}", short(id)),
            None => what.to_owned(),
        };
        let mut entries = self.entries();
        if entries.story.len() < LINES {
            entries.story.push(Line { after, text });
        }
        drop(entries);
        self.changed();
    }

    pub(super) fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A message was confirmed, or came back.
    pub(super) fn answered(&self, message: &Message, answer: &(Confirmed, Option<Returned>)) {
        let properties = &message.properties;
        let id = properties.message_id.as_deref();
        if answer.0 == Confirmed::Nack {
            return self.say(id, "was not stored by every queue that is bound for it");
        }
        if is_copy(message) {
            // Its run says where it went. What goes to the ladder comes again.
            if let Some((_, queue)) = message.routing_key.split_once(".queue.") {
                *self.entries().later.entry(queue.to_owned()).or_default() += 1;
            }
            return;
        }
        let mut entries = self.entries();
        let name = properties.kind.as_ref().unwrap_or(&message.routing_key).to_string();
        if !entries.known.insert((properties.message_id.as_ref().map(ToString::to_string), name.clone())) {
            return;
        }
        entries.published.push(message.clone());
        drop(entries);
        let by = properties.app_id.as_deref().unwrap_or("somebody");
        self.say(id, &format!("{name} published by {by} to exchange {}", message.exchange));
    }

    pub(super) fn delivered(&self, queue: &str, delivery: &Delivery) {
        let message = &delivery.message;
        if envelope::attempts_so_far(message) > 0 {
            *self.entries().later.entry(queue.to_owned()).or_default() -= 1;
        }
        let again = if delivery.redelivered { ", again" } else { "" };
        self.say(message.properties.message_id.as_deref(), &format!("delivered to {queue}{again}"));
    }

    /// Deliveries were settled, or lost with their channel.
    pub(super) fn let_go(&self, ids: &[Option<String>]) {
        let count = ids.len();
        let mut entries = self.entries();
        entries.sleeping.retain(|(_, id), _| !ids.contains(id));
        drop(entries);
        self.in_hand.fetch_sub(count, Ordering::Relaxed);
        self.changed();
    }

    /// How many deliveries are in hand and not just waiting for their next attempt; and until when the first of those waits.
    pub(super) fn running(&self) -> (usize, Option<SystemTime>) {
        let now = self.clock.now();
        let entries = self.entries();
        let asleep = entries.sleeping.values().filter(|until| **until > now).count();
        let first = entries.sleeping.values().filter(|until| **until > now).min().copied();
        (self.in_hand.load(Ordering::Relaxed).saturating_sub(asleep), first)
    }

    /// How many retries are in the delay ladder that will come back to a queue.
    pub(super) fn later(&self, queue: &str) -> i64 {
        self.entries().later.get(queue).copied().unwrap_or_default()
    }

    pub(super) fn published(&self) -> Vec<Message> {
        self.entries().published.clone()
    }

    pub(super) fn runs(&self) -> Vec<Ended> {
        self.entries().runs.clone()
    }

    /// All that happened, as text.
    pub(super) fn story(&self) -> String {
        let entries = self.entries();
        let mut story = String::new();
        for Line { after, text } in &entries.story {
            let _ = writeln!(story, "  {:>12}  {text}", format!("+{}", readable(*after)));
        }
        if entries.story.len() == LINES {
            let _ = writeln!(story, "  … and more, which is not kept");
        }
        story
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Log {
    fn ran(&self, run: &Run<'_>) {
        let failed = match run.end {
            RunEnd::Done { .. } => None,
            RunEnd::Failed { reason, error, next } => Some((reason, error.to_owned(), next)),
        };
        let key = (run.queue.to_owned(), run.id.map(str::to_owned));
        let mut entries = self.entries();
        match &failed {
            Some((_, _, Next::After(delay))) if entries.broadcast.contains(run.queue) => {
                let until = self.clock.now().checked_add(*delay).unwrap_or(self.began);
                entries.sleeping.insert(key, until);
            }
            _ => _ = entries.sleeping.remove(&key),
        }
        entries.runs.push(Ended {
            queue: run.queue.to_owned(),
            event: run.event.to_owned(),
            id: run.id.map(str::to_owned),
            attempt: run.attempt,
            failed,
            at: self.clock.now(),
            took: run.took,
        });
        drop(entries);
        self.say(run.id, &format!("{}, attempt {} of {}: {}", run.handler, run.attempt, run.of, run.end));
    }
}

/// Whether a message is a copy that a failed run left, on its way to the ladder or to the dead letters.
fn is_copy(message: &Message) -> bool {
    message.properties.headers.get(headers::REASON).and_then(HeaderValue::as_text).is_some()
}

/// The end of an id, which is where version 7 ids differ.
fn short(id: &str) -> &str {
    let start = id.len().saturating_sub(8);
    id.get(start..).unwrap_or(id)
}

fn readable(after: Duration) -> String {
    if after < Duration::from_secs(60) {
        return format!("{:.3}s", after.as_secs_f64());
    }
    humantime::format_duration(Duration::from_secs(after.as_secs())).to_string()
}
