//! What a run shows: a line for each round, and the ledger in the end.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    back::Back,
    ledger::{Ledger, Tally},
    plan::{Kind, Round},
    run::{SINKS, SOURCES},
};

/// How long consumers may take to be back before the report warns.
const SOON: Duration = Duration::from_secs(5);
/// How many of what was lost or is wrong are told in full.
const TOLD: usize = 20;

/// The ledger of a run, for people, and its verdict.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) of: String,
    broker: String,
    faults: BTreeMap<Kind, usize>,
    rounds: usize,
    backs: Vec<(String, Back)>,
    tally: Tally,
    took: Duration,
    /// What is lost, with its story.
    lost: Vec<String>,
    /// What else must not be.
    pub(super) wrongs: Vec<String>,
}

impl Report {
    pub(super) fn new(seed: u64, of: String, broker: String) -> Self {
        Self {
            seed,
            of,
            broker,
            faults: BTreeMap::new(),
            rounds: 0,
            backs: Vec::new(),
            tally: Tally::default(),
            took: Duration::ZERO,
            lost: Vec::new(),
            wrongs: Vec::new(),
        }
    }

    /// Whether nothing is lost and nothing else is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.wrongs.is_empty()
    }

    /// How many events are lost.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.lost.len()
    }

    /// How many other things are wrong.
    #[must_use]
    pub fn wrongs(&self) -> usize {
        self.wrongs.len()
    }

    /// How many faults of a kind there were.
    #[must_use]
    pub fn faults(&self, kind: Kind) -> usize {
        self.faults.get(&kind).copied().unwrap_or_default()
    }

    pub(super) fn wrong(&mut self, what: String) {
        println!("            WRONG: {what}");
        self.wrongs.push(what);
    }

    /// Takes a round, and says how it was.
    pub(super) fn round(&mut self, round: &Round, at: Duration, published: usize, back: Back) {
        self.rounds += 1;
        for fault in round.faults() {
            *self.faults.entry(fault.kind).or_default() += 1;
        }
        let mut what = format!("{} ({:.1} s)", round.fault.kind, round.fault.lasts.as_secs_f64());
        for fault in &round.meanwhile {
            what.push_str(&format!(", meanwhile {}", fault.kind));
        }
        let (consumers, producers) = (back.consumers.as_secs_f64(), back.producers.as_secs_f64());
        println!(
            "{:8.1} s  {:2}  {what}: consumers back after {consumers:.1} s, producers {producers:.1} s; {published} events published",
            at.as_secs_f64(),
            self.rounds
        );
        if back.consumers > SOON {
            println!("            WARNING: the consumers took longer than {SOON:?}");
        }
        for missing in &back.missing {
            self.wrong(format!("after round {} ({what}): {missing}", self.rounds));
        }
        self.backs.push((what, back));
    }

    /// Takes what the ledger says in the end.
    pub(super) fn judge(&mut self, ledger: &Ledger, took: Duration) {
        self.tally = ledger.tally();
        self.took = took;
        let missing = ledger.missing();
        self.lost =
            missing.iter().map(|(subject, why)| format!("{subject}: {why}\n{}", ledger.story(subject))).collect();
        self.wrongs.append(&mut ledger.wrongs());
    }

    fn back_after(&self, f: &mut fmt::Formatter<'_>, who: &str, took: impl Fn(&Back) -> Duration) -> fmt::Result {
        let mut all: Vec<Duration> = self.backs.iter().map(|(_, back)| took(back)).collect();
        all.sort_unstable();
        let middle = all.get(all.len() / 2).copied().unwrap_or_default().as_secs_f64();
        let slowest = self.backs.iter().max_by_key(|(_, back)| took(back));
        let (what, most) = slowest.map(|(what, back)| (what.as_str(), took(back))).unwrap_or_default();
        let late = all.iter().filter(|took| **took > SOON).count();
        writeln!(
            f,
            "  {who:9}  p50 {middle:.1} s, max {:.1} s (after: {what}); later than {} s: {late}",
            most.as_secs_f64(),
            SOON.as_secs()
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { published, confirmed, refused, followed, handled, duplicates, meant, dead, undeliverable } =
            &self.tally;
        let unknown = published - confirmed - refused;
        let took = self.took.as_secs_f64();
        writeln!(
            f,
            "ledger of seed {} ({}), RabbitMQ {}, {SOURCES} producers, {SINKS} consumers, {took:.0} s",
            self.seed, self.of, self.broker
        )?;
        writeln!(f, "  published  {published} events: {confirmed} confirmed, {unknown} unknown, {refused} refused")?;
        writeln!(f, "  followed   {followed} events, returned or scheduled")?;
        writeln!(f, "  handled    {handled} events, and {duplicates} of them again (duplicates, with the same id)")?;
        write!(f, "  dead       {meant} events that were meant to be")?;
        for (reason, count) in dead {
            write!(f, ", {count} by {reason}")?;
        }
        writeln!(f, "\n  nowhere    {undeliverable} undeliverable messages")?;
        writeln!(f, "  faults     {} in {} rounds", self.faults.values().sum::<usize>(), self.rounds)?;
        for (kind, count) in &self.faults {
            writeln!(f, "             {count:3}  {kind}")?;
        }
        writeln!(f, "back after a fault's end:")?;
        self.back_after(f, "consumers", |back| back.consumers)?;
        self.back_after(f, "producers", |back| back.producers)?;
        for (list, name) in [(&self.wrongs, "WRONG"), (&self.lost, "LOST")] {
            for what in list.iter().take(TOLD) {
                writeln!(f, "{name}: {what}")?;
            }
            if list.len() > TOLD {
                writeln!(f, "{name}: and {} more", list.len() - TOLD)?;
            }
        }
        write!(f, "WRONG {}\nLOST {}", self.wrongs.len(), self.lost.len())
    }
}
