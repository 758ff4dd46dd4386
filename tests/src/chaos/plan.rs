//! Which faults come when, from a seed. Pure: it breaks nothing.

use std::{fmt, ops::Range, time::Duration};

use crate::Way;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// kill -9 of the broker.
    KillBroker,
    /// The broker is stopped well, and started.
    StopBroker,
    /// `rabbitmqctl stop_app` and `start_app`.
    StopApp,
    /// The broker stands still, past the heartbeat.
    FreezeBroker,
    /// A memory alarm: publishers are held up.
    Alarm,
    /// An operator closes all connections, twice.
    CloseConnections,
    /// kill -9 of a consumer.
    KillConsumer,
    /// A consumer is told to end (SIGTERM), and started again.
    EndConsumer,
    /// A consumer stands still, past the heartbeat.
    FreezeConsumer,
    /// kill -9 of a producer.
    KillProducer,
    /// A producer stands still, past the heartbeat.
    FreezeProducer,
    /// A work queue is deleted.
    DeleteWorkQueue,
    /// A level of the delay ladder is deleted.
    DeleteLevel,
    /// A queue of dead letters is deleted.
    DeleteDeadLetters,
    /// Connections are reset, and new ones too, for a while.
    Cut,
    /// The network takes bytes and passes none on, for a while.
    Stall,
    /// Both sides of the connections lose each other without a word.
    Lose,
}

impl Kind {
    /// Those that need nothing of the broker but that it is one.
    pub const ALL: [Self; 17] = [
        Self::KillBroker,
        Self::StopBroker,
        Self::StopApp,
        Self::FreezeBroker,
        Self::Alarm,
        Self::CloseConnections,
        Self::KillConsumer,
        Self::EndConsumer,
        Self::FreezeConsumer,
        Self::KillProducer,
        Self::FreezeProducer,
        Self::DeleteWorkQueue,
        Self::DeleteLevel,
        Self::DeleteDeadLetters,
        Self::Cut,
        Self::Stall,
        Self::Lose,
    ];

    /// How long it lasts, in milliseconds.
    fn lasts(self) -> Range<u64> {
        match self {
            // Missing heartbeats of 2 s are noticed after 4 to 6 s.
            Self::FreezeBroker | Self::FreezeConsumer | Self::FreezeProducer => 5000..8000,
            Self::Alarm => 2000..4000,
            // Some of it is over before anybody notices.
            Self::Stall => 500..8000,
            Self::Lose => 2000..6000,
            Self::KillBroker | Self::StopBroker | Self::StopApp | Self::Cut => 0..2000,
            Self::CloseConnections | Self::KillConsumer | Self::EndConsumer | Self::KillProducer => 100..1000,
            Self::DeleteWorkQueue | Self::DeleteLevel | Self::DeleteDeadLetters => 0..1,
        }
    }

    /// Whether it ends a process, which may happen while something else is broken.
    fn ends_a_process(self) -> bool {
        matches!(self, Self::KillConsumer | Self::KillProducer)
    }

    /// How often, of ten times, a process is killed while it lasts. What a process holds that the broker does not, because
    /// the way there is closed, goes with it: this is where an acknowledgement that came too early is a loss.
    fn is_a_bad_time_to_die(self) -> u32 {
        match self {
            Self::Alarm | Self::CloseConnections => 10,
            Self::KillBroker | Self::StopBroker | Self::StopApp | Self::FreezeBroker | Self::Stall | Self::Lose => 4,
            _ => 0,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillBroker => "kill the broker",
            Self::StopBroker => "stop the broker",
            Self::StopApp => "stop the broker's app",
            Self::FreezeBroker => "freeze the broker",
            Self::Alarm => "memory alarm",
            Self::CloseConnections => "close all connections, twice",
            Self::KillConsumer => "kill a consumer",
            Self::EndConsumer => "end a consumer well",
            Self::FreezeConsumer => "freeze a consumer",
            Self::KillProducer => "kill a producer",
            Self::FreezeProducer => "freeze a producer",
            Self::DeleteWorkQueue => "delete a work queue",
            Self::DeleteLevel => "delete a level of the ladder",
            Self::DeleteDeadLetters => "delete a queue of dead letters",
            Self::Cut => "cut the network",
            Self::Stall => "stall the network",
            Self::Lose => "lose each other",
        })
    }
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// How long it lasts, at least.
    pub(crate) lasts: Duration,
    /// Chooses what or whom it befalls.
    pub(crate) victim: usize,
    /// What stalls.
    pub(crate) way: Way,
}

/// A fault with those that happen while it lasts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Round {
    /// When it begins, as the share of the round's events that are published by then.
    pub(crate) at: f64,
    pub(crate) fault: Fault,
    pub(crate) meanwhile: Vec<Fault>,
}

impl Round {
    /// Its faults.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        std::iter::once(&self.fault).chain(&self.meanwhile)
    }
}

/// All rounds of a run: so many faults of these kinds, each kind as often as the others.
pub(crate) fn plan(seed: u64, faults: usize, kinds: &[Kind]) -> Vec<Round> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut coming: Vec<Kind> = Vec::with_capacity(faults);
    while coming.len() < faults && !kinds.is_empty() {
        let mut each = kinds.to_vec();
        random.shuffle(&mut each);
        each.truncate(faults - coming.len());
        coming.append(&mut each);
    }
    let mut rounds: Vec<Round> = Vec::new();
    coming.reverse();
    while let Some(kind) = coming.pop() {
        let mut meanwhile = Vec::new();
        if random.u32(0..10) < kind.is_a_bad_time_to_die()
            && let Some(next) = coming.iter().rposition(|kind| kind.ends_a_process())
        {
            meanwhile.push(coming.remove(next));
        }
        let at = 0.05 + random.f64() * 0.45;
        let fault = one_fault(&mut random, kind);
        let meanwhile = meanwhile.into_iter().map(|kind| one_fault(&mut random, kind)).collect();
        rounds.push(Round { at, fault, meanwhile });
    }
    rounds
}

fn one_fault(random: &mut fastrand::Rng, kind: Kind) -> Fault {
    let lasts = Duration::from_millis(random.u64(kind.lasts()));
    let way = [Way::ToServer, Way::ToClient, Way::Both][random.usize(0..3)];
    Fault { kind, lasts, victim: random.usize(0..1000), way }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counts(rounds: &[Round]) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for fault in rounds.iter().flat_map(Round::faults) {
            *counts.entry(fault.kind).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(plan(7, 50, &Kind::ALL), plan(7, 50, &Kind::ALL));
        assert_ne!(plan(7, 50, &Kind::ALL), plan(8, 50, &Kind::ALL));
        assert!(plan(7, 50, &[]).is_empty());
    }

    #[test]
    fn every_kind_comes_as_often_as_the_others() {
        for seed in 0..200 {
            let each = counts(&plan(seed, Kind::ALL.len(), &Kind::ALL));
            assert!(Kind::ALL.iter().all(|kind| each.get(kind) == Some(&1)), "{seed}: {each:?}");
            let many = counts(&plan(seed, 50, &Kind::ALL));
            assert_eq!(many.values().sum::<usize>(), 50);
            assert!(many.values().all(|count| (2..=3).contains(count)), "{seed}: {many:?}");
        }
    }

    #[test]
    fn a_process_dies_while_the_way_to_the_broker_is_closed() {
        for seed in 0..200 {
            let rounds = plan(seed, 2 * Kind::ALL.len(), &Kind::ALL);
            let closed = rounds.iter().filter(|round| !round.meanwhile.is_empty());
            assert!(closed.clone().all(|round| round.meanwhile.iter().all(|fault| fault.kind.ends_a_process())));
            assert!(closed.count() > 0, "{seed}");
        }
    }
}
