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
    /// kill -9 of the node that leads a queue.
    KillLeader,
    /// A node of a cluster is drained, stopped and started: one after the other, as a rolling upgrade does.
    RestartMember,
    /// kill -9 of two nodes of three.
    KillMajority,
    /// A node of a cluster loses the others without a word, and they lose it.
    CutOff,
    /// A memory alarm: publishers are held up.
    Alarm,
    /// An operator closes all connections, again and again.
    CloseConnections,
    /// kill -9 of a consumer.
    KillConsumer,
    /// kill -9 of all consumers.
    KillConsumers,
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
    pub const ALL: [Self; 18] = [
        Self::KillBroker,
        Self::StopBroker,
        Self::StopApp,
        Self::FreezeBroker,
        Self::Alarm,
        Self::CloseConnections,
        Self::KillConsumer,
        Self::KillConsumers,
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

    /// Those that a cluster of three can have. Where a kind is about the broker, it befalls one of its nodes.
    pub const CLUSTER: [Self; 20] = [
        Self::KillLeader,
        Self::RestartMember,
        Self::KillMajority,
        Self::CutOff,
        Self::StopApp,
        Self::FreezeBroker,
        Self::Alarm,
        Self::CloseConnections,
        Self::KillConsumer,
        Self::KillConsumers,
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
            // It is noticed after 4 to 6 s; some of it is over before.
            Self::CutOff => 1000..12_000,
            Self::KillMajority => 1000..6000,
            Self::KillBroker | Self::StopBroker | Self::StopApp | Self::Cut => 0..2000,
            Self::KillLeader | Self::RestartMember => 0..2000,
            Self::CloseConnections => 600..1800,
            Self::KillConsumer | Self::KillConsumers | Self::EndConsumer | Self::KillProducer => 100..1000,
            Self::DeleteWorkQueue | Self::DeleteLevel | Self::DeleteDeadLetters => 0..1,
        }
    }

    /// Whether the way to the broker is closed while it lasts, for all.
    fn is_an_outage(self) -> bool {
        matches!(self, Self::KillBroker | Self::StopBroker | Self::StopApp | Self::FreezeBroker | Self::KillMajority)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillBroker => "kill the broker",
            Self::StopBroker => "stop the broker",
            Self::StopApp => "stop the broker's app",
            Self::FreezeBroker => "freeze the broker",
            Self::KillLeader => "kill a leader's node",
            Self::RestartMember => "restart a node, in turn",
            Self::KillMajority => "kill two nodes of three",
            Self::CutOff => "cut a node off",
            Self::Alarm => "memory alarm",
            Self::CloseConnections => "close all connections",
            Self::KillConsumer => "kill a consumer",
            Self::KillConsumers => "kill all consumers",
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
    /// Whether all of the round's events are published right before it.
    pub(crate) rush: bool,
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
    let (mut rounds, mut left) = (Vec::new(), faults);
    while left > 0 && !kinds.is_empty() {
        for mut together in groups(&mut random, kinds) {
            together.truncate(left);
            left -= together.len();
            let mut faults = together.iter().map(|kind| one_fault(&mut random, *kind)).collect::<Vec<_>>().into_iter();
            let Some(fault) = faults.next() else { break };
            let meanwhile = faults.collect();
            let at = 0.05 + random.f64() * 0.45;
            let rush = random.bool() || matches!(fault.kind, Kind::Alarm | Kind::CloseConnections);
            rounds.push(Round { at, rush, fault, meanwhile });
        }
    }
    rounds
}

/// Each kind once, in any order; some while another lasts.
fn groups(random: &mut fastrand::Rng, kinds: &[Kind]) -> Vec<Vec<Kind>> {
    let mut guests: Vec<(Kind, Kind)> = Vec::new();
    // What a process holds that the broker does not, because it takes nothing, goes with the process: this is where an
    // acknowledgement that came too early is a loss.
    guests.push((Kind::Alarm, Kind::KillConsumers));
    if random.bool() {
        // And so does what it still works on that was acknowledged by another's tag.
        guests.push((Kind::CloseConnections, Kind::KillConsumer));
    }
    let outages: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.is_an_outage()).collect();
    if let (Some(outage), true) = (random.choice(outages.iter()), random.bool()) {
        guests.push((*outage, Kind::KillProducer));
    }
    guests.retain(|(host, guest)| kinds.contains(host) && kinds.contains(guest));
    let mut hosts: Vec<Kind> = kinds.to_vec();
    hosts.retain(|kind| guests.iter().all(|(_, guest)| guest != kind));
    random.shuffle(&mut hosts);
    let with_guests = |host| {
        let of_host = guests.iter().filter(move |(other, _)| *other == host).map(|(_, guest)| *guest);
        std::iter::once(host).chain(of_host).collect()
    };
    hosts.into_iter().map(with_guests).collect()
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
            let each = counts(&plan(seed, Kind::CLUSTER.len(), &Kind::CLUSTER));
            assert!(Kind::CLUSTER.iter().all(|kind| each.get(kind) == Some(&1)), "{seed}: {each:?}");
        }
    }

    #[test]
    fn all_consumers_die_in_an_alarm() {
        for seed in 0..200 {
            let rounds = plan(seed, 2 * Kind::ALL.len(), &Kind::ALL);
            let alarms: Vec<&Round> = rounds.iter().filter(|round| round.fault.kind == Kind::Alarm).collect();
            assert_eq!(alarms.len(), 2);
            assert!(alarms.iter().all(|round| round.rush && round.meanwhile[0].kind == Kind::KillConsumers));
        }
        // Where there are no alarms they die alone.
        let rounds = plan(1, 2, &[Kind::KillConsumers, Kind::Cut]);
        assert!(rounds.len() == 2 && rounds.iter().all(|round| round.meanwhile.is_empty()));
    }

    #[test]
    fn processes_die_alone_and_while_their_connections_go() {
        let rounds: Vec<Round> = (0..20).flat_map(|seed| plan(seed, 50, &Kind::ALL)).collect();
        let outage = |kind: Kind| kind.is_an_outage();
        for (kind, host) in [
            (Kind::KillProducer, &outage as &dyn Fn(Kind) -> bool),
            (Kind::KillConsumer, &|kind| kind == Kind::CloseConnections),
        ] {
            assert!(rounds.iter().any(|round| round.fault.kind == kind));
            let mut hosts = rounds.iter().filter(|round| host(round.fault.kind));
            assert!(hosts.any(|round| round.meanwhile.iter().any(|fault| fault.kind == kind)));
        }
    }
}
