//! What becomes of an event, decided by its subject alone: so processes and ledger agree without a word.

use std::time::Duration;

/// The three kinds of events: each may be said in answer to one of the kind before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Published by the sources.
    Order,
    /// Returned by the handler of orders.
    Shipment,
    /// Published on schedule by the handler of shipments.
    Reminder,
}

impl Stage {
    /// That of a subject: `{source}.{life}.{number}`, and for each event that it follows from a `/` and a number.
    pub(crate) fn of(subject: &str) -> Self {
        match subject.matches('/').count() {
            0 => Self::Order,
            1 => Self::Shipment,
            _ => Self::Reminder,
        }
    }
}

/// What a handler does with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// How long each run takes.
    pub(crate) takes: Duration,
    /// How the runs end.
    pub(crate) course: Course,
    /// The subjects of what it says once it has ended well.
    pub(crate) says: Vec<String>,
}

/// How the runs on an event end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// Well.
    Well,
    /// So many runs fail, the next ends well.
    Fails(u32, Failure),
    /// No retry will help.
    Rejected,
    /// All runs fail.
    Never(Failure),
}

/// How a run fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Error,
    Panic,
    /// It asks for another time than the policy's.
    Later,
    /// It does not end in its time.
    Timeout,
}

impl Fate {
    /// The fate of an event in the run of this seed.
    pub(crate) fn of(seed: u64, subject: &str) -> Self {
        let mut random = fastrand::Rng::with_seed(hash(seed, subject));
        let stage = Stage::of(subject);
        // Some are so slow that they outlive a lost connection.
        let slow = random.u32(0..100) < 5;
        let milliseconds = if slow { random.u64(300..2000) } else { random.u64(0..8) };
        let how = match random.u32(0..20) {
            0..12 => Failure::Error,
            12..15 => Failure::Panic,
            15..19 => Failure::Later,
            _ => Failure::Timeout,
        };
        let course = match (stage, random.u32(0..200)) {
            (Stage::Reminder, 10..) => Course::Well,
            (_, 0..16) => Course::Fails(1, how),
            (_, 16..30) => Course::Fails(2, how),
            (_, 30..36) => Course::Fails(3, how),
            (_, 36..39) => Course::Rejected,
            (_, 39..41) => Course::Never(how),
            _ => Course::Well,
        };
        let count = match (stage, random.u32(0..10)) {
            (Stage::Order, 0..4) | (Stage::Shipment, 0..3) => 1,
            (Stage::Order, 4) => 3,
            _ => 0,
        };
        let dies = matches!(course, Course::Rejected | Course::Never(_));
        let count = if dies { 0 } else { count };
        let says = (0..count).map(|number| format!("{subject}/{number}")).collect();
        Self { takes: Duration::from_millis(milliseconds), course, says }
    }

    /// Whether its place is among the dead letters.
    pub(crate) fn dies(&self) -> bool {
        matches!(self.course, Course::Rejected | Course::Never(_))
    }
}

/// The id of an event whose publisher gives it one. Those that handlers return have ids that follow from their cause.
pub(crate) fn id(subject: &str) -> String {
    format!("id-{subject}")
}

/// FNV-1a.
fn hash(seed: u64, subject: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(subject.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fates_occur_and_the_same_subject_has_the_same() {
        let fates: Vec<Fate> = (0..2000).map(|number| Fate::of(1, &format!("1.1.{number}"))).collect();
        assert_eq!(fates[7], Fate::of(1, "1.1.7"));
        assert!((0..100).any(|number| Fate::of(2, &format!("1.1.{number}")) != fates[number]));
        let share = |wanted: fn(&Fate) -> bool| fates.iter().filter(|fate| wanted(fate)).count();
        assert!((1500..1700).contains(&share(|fate| fate.course == Course::Well)));
        assert!((10..200).contains(&share(Fate::dies)));
        assert!(share(|fate| fate.dies() && !fate.says.is_empty()) == 0);
        assert!((50..200).contains(&share(|fate| fate.takes > Duration::from_millis(100))));
        for runs in 1..=3 {
            assert!(fates.iter().any(|fate| matches!(fate.course, Course::Fails(failed, _) if failed == runs)));
        }
        for failure in [Failure::Error, Failure::Panic, Failure::Later, Failure::Timeout] {
            assert!(fates.iter().any(|fate| matches!(fate.course, Course::Fails(_, how) if how == failure)));
        }
        let shipments: Vec<&String> = fates.iter().flat_map(|fate| &fate.says).collect();
        assert!((1000..1800).contains(&shipments.len()));
        assert!(shipments.iter().all(|subject| Stage::of(subject) == Stage::Shipment));
        let reminders = shipments.iter().flat_map(|subject| Fate::of(1, subject).says);
        assert!(reminders.map(|subject| Fate::of(1, &subject)).all(|fate| fate.says.is_empty()));
    }
}
