//! Who is measured: each does the same tasks in its own way.

#[cfg(feature = "foreign")]
mod amqprs;
mod channel;
#[cfg(feature = "foreign")]
mod kanin;
mod ours;
mod readme;
#[cfg(feature = "foreign")]
mod ruststream;
mod tight;

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{broker::Setting, measure::Sample};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// One publisher, with so many events on their way at a time.
    Publish { ahead: usize },
    /// So many tasks at a time, each publishing one event and waiting for its confirm.
    PublishTasks { tasks: usize },
    /// Handle what waits in a queue; with `work` the handler awaits so long, 16 at a time.
    Consume { prefetch: Prefetch, work: Option<Duration> },
    /// Handle what waits in a queue, and publish one event for each before it is acknowledged.
    Answer { prefetch: u16 },
    /// Publish so many a second, and handle them; measured from when each should have been sent.
    Latency { a_second: u32 },
    /// Consume beside so many subscriptions that have nothing to do.
    Beside { idle: usize },
    /// Every event fails once and comes again by the delay ladder.
    Retry,
    /// From nothing to a running service with so many subscriptions.
    Start { subscriptions: usize },
    /// From the publisher to the handler in one process, without a broker.
    Memory { ahead: usize },
}

/// How many deliveries the broker sends ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefetch {
    /// What a contender does when nobody says anything; by hand that is no limit.
    Default,
    /// What a contender is quickest with.
    Best,
    Of(u16),
}

impl Prefetch {
    /// For a contender with such a default and such a best; 0 is no limit.
    fn of(self, default: u16, best: u16) -> u16 {
        match self {
            Self::Default => default,
            Self::Best => best,
            Self::Of(deliveries) => deliveries,
        }
    }
}

/// What a contender guarantees while it does a task: only the same is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guarantee {
    /// Each event is confirmed by the broker before its caller goes on.
    pub(crate) confirmed: bool,
    /// Events are persistent.
    pub(crate) persistent: bool,
    /// A delivery is acknowledged after its handler.
    pub(crate) acknowledged_after: bool,
    /// The acknowledgements are known to be with the broker when the clock stops.
    pub(crate) acknowledgements_proven: bool,
}

impl Guarantee {
    pub(crate) const FULL: Self =
        Self { confirmed: true, persistent: true, acknowledged_after: true, acknowledgements_proven: true };
    /// Acknowledgements are written some time.
    pub(crate) const UNPROVEN: Self = Self { acknowledgements_proven: false, ..Self::FULL };
}

impl std::fmt::Display for Guarantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            (self.confirmed, "confirmed"),
            (self.persistent, "persistent"),
            (self.acknowledged_after, "acked after the handler"),
            (self.acknowledgements_proven, "acks proven"),
        ];
        let missing: Vec<_> = all.iter().filter(|(given, _)| !given).map(|(_, name)| *name).collect();
        if missing.is_empty() { f.write_str("all") } else { write!(f, "not {}", missing.join(", not ")) }
    }
}

/// One who takes part.
pub(crate) trait Contender: Sync {
    /// Its name in tables and arguments.
    fn name(&self) -> &'static str;

    /// What it guarantees while it does a task; `None` if it does not take part in that.
    fn guarantee(&self, task: Task) -> Option<Guarantee>;

    /// The part of the events that is enough for it, since it is slow.
    fn share(&self) -> f64 {
        1.0
    }

    /// Does a task once, on queues that are ready for it.
    fn run<'a>(&'a self, task: Task, setting: &'a Setting) -> BoxFuture<'a, anyhow::Result<Sample>>;
}

/// Everybody.
pub(crate) fn all() -> Vec<&'static dyn Contender> {
    vec![
        &ours::Rabbitry,
        &ours::Alone,
        &tight::Tight,
        &readme::Readme,
        &channel::Channel,
        #[cfg(feature = "foreign")]
        &amqprs::Amqprs,
        #[cfg(feature = "foreign")]
        &kanin::Kanin,
        #[cfg(feature = "foreign")]
        &ruststream::Ruststream,
    ]
}

/// A task that a contender does not take part in was asked of it.
fn not_taking_part(name: &str, task: Task) -> anyhow::Error {
    anyhow::anyhow!("{name} does not take part in {task:?}")
}
