//! The ledger: what was promised of each event, and what became of it. Pure: it is told, and it judges.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
    time::Duration,
};

use super::{
    fate::{self, Fate, Stage},
    line::Line,
};

/// The ledger of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    seed: u64,
    entries: BTreeMap<String, Entry>,
    /// Events that were seen with another id than their own.
    other_ids: Vec<String>,
}

/// One event.
#[derive(Debug, Default)]
struct Entry {
    sent: bool,
    answer: Answer,
    effects: usize,
    done: usize,
    dead: usize,
    undeliverable: usize,
    /// Why it is dead.
    reason: String,
    id: Option<String>,
    story: Vec<Note>,
}

/// What its publisher was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Answer {
    /// Nothing: its process died before, or somebody's handler said it.
    #[default]
    None,
    Confirmed,
    Unknown,
    Refused,
}

#[derive(Debug)]
struct Note {
    at: Duration,
    who: Arc<str>,
    what: Box<str>,
}

/// A message that was found in a queue where messages stay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    /// The queue.
    pub(crate) queue: String,
    /// Its ids: that of its properties, and that of its envelope if it has one.
    pub(crate) ids: Vec<String>,
    /// Why it is there; empty if it was the broker that put it there.
    pub(crate) reason: String,
}

/// The sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) published: usize,
    pub(crate) confirmed: usize,
    pub(crate) refused: usize,
    /// Events that followed from others, and must be somewhere.
    pub(crate) followed: usize,
    pub(crate) handled: usize,
    pub(crate) duplicates: usize,
    /// Dead, as they were meant to be.
    pub(crate) meant: usize,
    /// Dead, though they were meant to be handled, by reason.
    pub(crate) dead: BTreeMap<String, usize>,
    pub(crate) undeliverable: usize,
}

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, entries: BTreeMap::new(), other_ids: Vec::new() }
    }

    /// Takes what a process said.
    pub(crate) fn take(&mut self, who: &Arc<str>, at: Duration, line: &Line) {
        let Some(subject) = line.subject() else { return };
        let entry = self.entries.entry(subject.to_owned()).or_default();
        match line {
            Line::Sent { .. } => entry.sent = true,
            Line::Confirmed { .. } => entry.answer = Answer::Confirmed,
            Line::Unknown { .. } => entry.answer = Answer::Unknown,
            Line::Refused { .. } => entry.answer = Answer::Refused,
            Line::Effect { .. } => entry.effects += 1,
            Line::Done { .. } => entry.done += 1,
            Line::Begun { .. } | Line::Failed { .. } | Line::Ready | Line::Probe { .. } => {}
        }
        entry.story.push(Note { at, who: Arc::clone(who), what: line.story().into() });
        if let Line::Begun { id, .. } | Line::Effect { id, .. } = line {
            self.seen_with(subject, id);
        }
    }

    /// Takes a message that was found among the dead letters.
    pub(crate) fn found_dead(&mut self, at: Duration, letter: &Letter) {
        let what = format!("found in {} ({})", letter.queue, letter.reason);
        let entry = self.found(at, letter, &what);
        entry.dead += 1;
        entry.reason.clone_from(&letter.reason);
    }

    /// Takes a message that was found among the undeliverable ones.
    pub(crate) fn found_undeliverable(&mut self, at: Duration, letter: &Letter) {
        self.found(at, letter, &format!("found in {}", letter.queue)).undeliverable += 1;
    }

    fn found(&mut self, at: Duration, letter: &Letter, what: &str) -> &mut Entry {
        for id in &letter.ids {
            self.seen_with(&letter.subject, id);
        }
        let entry = self.entries.entry(letter.subject.clone()).or_default();
        entry.story.push(Note { at, who: "the broker".into(), what: what.into() });
        entry
    }

    /// Every copy of an event has the same id. Where the publisher gave it one, it is that.
    fn seen_with(&mut self, subject: &str, id: &str) {
        let entry = self.entries.entry(subject.to_owned()).or_default();
        let own = match (Stage::of(subject), &entry.id) {
            (Stage::Order | Stage::Reminder, _) => fate::id(subject),
            (Stage::Shipment, Some(own)) => own.clone(),
            (Stage::Shipment, None) => {
                entry.id = Some(id.to_owned());
                return;
            }
        };
        if own != id {
            self.other_ids.push(format!("{subject} has the id {own}, and was seen with {id}"));
        }
    }

    /// The events that must be somewhere, and why.
    fn owed(&self) -> BTreeMap<String, String> {
        let mut owed = BTreeMap::new();
        for (subject, entry) in &self.entries {
            if entry.answer == Answer::Confirmed {
                owed.insert(subject.clone(), "its publisher was told that it is confirmed".to_owned());
            }
            // What follows from an event that is dead in the end may or may not be there.
            if entry.effects > 0 && !entry.is_kept() {
                let why = format!("it follows from {subject}, which is handled");
                owed.extend(Fate::of(self.seed, subject).says.into_iter().map(|subject| (subject, why.clone())));
            }
        }
        owed
    }

    /// The events that must be somewhere and are not, or not yet, with the reason why they must.
    pub(crate) fn missing(&self) -> BTreeMap<String, String> {
        let mut owed = self.owed();
        owed.retain(|subject, _| !self.entries.get(subject).is_some_and(Entry::is_accounted_for));
        owed
    }

    /// All that is known of an event, a line each.
    pub(crate) fn story(&self, subject: &str) -> String {
        let mut story = String::new();
        let entry = self.entries.get(subject);
        for Note { at, who, what } in entry.into_iter().flat_map(|entry| &entry.story) {
            let _ = writeln!(story, "    {:9.3} s  {who}: {what}", at.as_secs_f64());
        }
        if story.is_empty() { "    nothing was ever heard of it\n".to_owned() } else { story }
    }

    /// What must never be, beside events that are missing.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        let mut wrongs = self.other_ids.clone();
        for (subject, entry) in &self.entries {
            let what = if entry.done > 0 && !entry.is_accounted_for() {
                "was acknowledged without its effect"
            } else if entry.answer == Answer::Refused && entry.is_accounted_for() {
                "arrived, though its publisher was told that it certainly did not"
            } else if entry.effects > 0 && Fate::of(self.seed, subject).dies() {
                "was handled, though each of its runs fails"
            } else if entry.undeliverable > 0 {
                "could not be delivered"
            } else if entry.dead > 0 && entry.reason.is_empty() {
                "was dead-lettered by the broker"
            } else {
                continue;
            };
            wrongs.push(format!("{subject} {what}\n{}", self.story(subject)));
        }
        wrongs
    }

    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (subject, entry) in &self.entries {
            tally.published += usize::from(entry.sent);
            tally.confirmed += usize::from(entry.answer == Answer::Confirmed);
            tally.refused += usize::from(entry.answer == Answer::Refused);
            tally.handled += usize::from(entry.effects > 0);
            tally.duplicates += entry.effects.saturating_sub(1);
            tally.undeliverable += entry.undeliverable;
            if entry.dead > 0 && Fate::of(self.seed, subject).dies() {
                tally.meant += 1;
            } else if entry.dead > 0 {
                let reason = if entry.reason.is_empty() { "the broker" } else { &entry.reason };
                *tally.dead.entry(reason.to_owned()).or_default() += 1;
            }
        }
        let followed: BTreeSet<String> = self.owed().into_keys().collect();
        tally.followed = followed.iter().filter(|subject| Stage::of(subject) != Stage::Order).count();
        tally
    }
}

impl Entry {
    /// Whether it is in a queue where messages stay.
    fn is_kept(&self) -> bool {
        self.dead > 0 || self.undeliverable > 0
    }

    fn is_accounted_for(&self) -> bool {
        self.effects > 0 || self.is_kept()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 1;

    /// The first subject whose fate is such.
    fn subject(wanted: impl Fn(&Fate) -> bool) -> String {
        let mut subjects = (0..10_000).map(|number| format!("1.1.{number}"));
        subjects.find(|subject| wanted(&Fate::of(SEED, subject))).unwrap()
    }

    fn plain() -> String {
        subject(|fate| !fate.dies() && fate.says.is_empty())
    }

    fn told(lines: &[Line]) -> Ledger {
        let mut ledger = Ledger::new(SEED);
        for line in lines {
            ledger.take(&"somebody".into(), Duration::from_secs(1), line);
        }
        ledger
    }

    fn published(subject: &str) -> [Line; 2] {
        [Line::Sent { subject: subject.to_owned() }, Line::Confirmed { subject: subject.to_owned() }]
    }

    fn effect(subject: &str) -> Line {
        Line::Effect { subject: subject.to_owned(), id: fate::id(subject) }
    }

    fn letter(subject: &str, reason: &str) -> Letter {
        let (subject, ids) = (subject.to_owned(), vec![fate::id(subject)]);
        Letter { subject, queue: "sink.take.dead".to_owned(), ids, reason: reason.to_owned() }
    }

    #[test]
    fn what_is_confirmed_must_be_somewhere() {
        let subject = plain();
        let [sent, confirmed] = published(&subject);
        assert!(told(std::slice::from_ref(&sent)).missing().is_empty());
        let mut ledger = told(&[sent, confirmed]);
        assert!(ledger.missing().into_keys().eq([subject.clone()]));
        assert!(ledger.story(&subject).contains("somebody: confirmed"));
        ledger.take(&"sink".into(), Duration::from_secs(2), &effect(&subject));
        assert!(ledger.missing().is_empty() && ledger.wrongs().is_empty());
        assert_eq!(ledger.tally(), Tally { published: 1, confirmed: 1, handled: 1, ..Tally::default() });
    }

    #[test]
    fn what_follows_from_a_handled_event_must_be_somewhere() {
        let subject = subject(|fate| fate.says.len() == 3);
        let mut ledger = told(&[effect(&subject)]);
        assert_eq!(ledger.missing().len(), 3);
        assert_eq!(ledger.tally().followed, 3);
        for number in 0..3 {
            let subject = format!("{subject}/{number}");
            ledger.take(&"sink".into(), Duration::from_secs(2), &effect(&subject));
        }
        let missing = ledger.missing();
        assert!(missing.keys().all(|subject| Stage::of(subject) == Stage::Reminder), "{missing:?}");
        // Dead in the end: it may have said nothing.
        let mut ledger = told(&[effect(&subject)]);
        ledger.found_dead(Duration::ZERO, &letter(&subject, "abandoned"));
        assert!(ledger.missing().is_empty());
        assert_eq!(ledger.tally().dead, [("abandoned".to_owned(), 1)].into());
    }

    #[test]
    fn a_dead_letter_is_no_loss_unless_the_broker_made_it() {
        let meant = subject(Fate::dies);
        let mut ledger = told(&published(&meant));
        ledger.found_dead(Duration::ZERO, &letter(&meant, "rejected"));
        assert!(ledger.missing().is_empty() && ledger.wrongs().is_empty());
        assert_eq!(ledger.tally().meant, 1);
        let mut ledger = told(&published(&plain()));
        ledger.found_dead(Duration::ZERO, &letter(&plain(), ""));
        assert!(ledger.missing().is_empty());
        assert!(ledger.wrongs()[0].contains("by the broker"), "{:?}", ledger.wrongs());
        let mut ledger = told(&published(&plain()));
        ledger.found_undeliverable(Duration::ZERO, &letter(&plain(), "error"));
        assert!(ledger.wrongs()[0].contains("could not be delivered"), "{:?}", ledger.wrongs());
    }

    #[test]
    fn copies_are_counted_and_have_one_id() {
        let subject = plain();
        let mut ledger = told(&[effect(&subject), effect(&subject), effect(&subject)]);
        assert_eq!((ledger.tally().handled, ledger.tally().duplicates), (1, 2));
        assert!(ledger.wrongs().is_empty());
        let begun = Line::Begun { subject: subject.clone(), id: "another".to_owned(), attempt: 1 };
        ledger.take(&"sink".into(), Duration::ZERO, &begun);
        assert!(ledger.wrongs()[0].contains("was seen with another"), "{:?}", ledger.wrongs());
        // A returned event's id is whatever it was first.
        let returned = format!("{subject}/0");
        let seen = |id: &str| Line::Begun { subject: returned.clone(), id: id.to_owned(), attempt: 1 };
        assert!(told(&[seen("a"), seen("a")]).wrongs().is_empty());
        assert!(told(&[seen("a"), seen("b")]).wrongs()[0].contains("seen with b"));
        let mut ledger = told(&[]);
        let ids = vec![fate::id(&subject), "another".to_owned()];
        ledger.found_dead(Duration::ZERO, &Letter { ids, ..letter(&subject, "error") });
        assert!(ledger.wrongs()[0].contains("seen with another"));
    }

    #[test]
    fn what_is_said_must_be_true() {
        let subject = plain();
        let done = Line::Done { subject: subject.clone() };
        assert!(told(std::slice::from_ref(&done)).wrongs()[0].contains("acknowledged without its effect"));
        assert!(told(&[effect(&subject), done]).wrongs().is_empty());
        let refused = Line::Refused { subject: subject.clone(), why: "nobody listens".to_owned() };
        assert!(told(std::slice::from_ref(&refused)).wrongs().is_empty());
        assert!(told(&[refused, effect(&subject)]).wrongs()[0].contains("certainly did not"));
        assert!(told(&[effect(&self::subject(Fate::dies))]).wrongs()[0].contains("each of its runs fails"));
    }
}
