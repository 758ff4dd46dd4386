//! The version of a plan: what services share on the broker carries it in its name.
//!
//! The arguments of what is declared never change within a version. A rabbitry that needs others makes a later version
//! beside the earlier ones, and services of both run on one broker: a queue that is there already is taken as it is.

use serde_json::Value;

use super::{
    Arguments, Difference, Queue, Topology,
    compare::refusal::{self, Unequal},
};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlanVersion(u16);

impl PlanVersion {
    /// What this rabbitry plans.
    pub(crate) const CURRENT: Self = Self(1);

    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The earlier ones, the newest first.
    pub(crate) fn former(self) -> impl Iterator<Item = Self> {
        (1..self.0).rev().map(Self)
    }

    /// The exchange that leads to the dead letters.
    pub(crate) fn dead_letters(self) -> String {
        format!("rabbitry.v{}.dead", self.0)
    }

    /// Where what can't be delivered goes: the alternate exchange of all exchanges of ours, and its queue.
    pub(super) fn undeliverable(self) -> String {
        format!("rabbitry.v{}.undeliverable", self.0)
    }

    /// Where the delay ladder is: the common one, or one that a service names.
    pub(super) fn delays(self, named: Option<&str>) -> String {
        match named {
            None => format!("rabbitry.v{}.delay", self.0),
            // As it is written, for as long as there is no second.
            Some(named) if self.0 == 1 => named.to_owned(),
            Some(named) => format!("{named}.v{}", self.0),
        }
    }

    /// The version whose dead letters go by this exchange.
    fn by_dead_letters(exchange: &str) -> Option<Self> {
        exchange.strip_prefix("rabbitry.v")?.strip_suffix(".dead")?.parse().ok().map(Self)
    }

    /// The version that planned a work queue of these arguments.
    pub(crate) fn of(arguments: &Arguments) -> Option<Self> {
        Self::by_dead_letters(arguments.get(DEAD_LETTER_EXCHANGE)?.as_text()?)
    }

    /// The version that made a work queue, if it is later than the one that plans these arguments; `theirs` is where its
    /// dead letters go. No earlier rabbitry can know what else such a queue has, and it need not.
    pub(super) fn later(arguments: &Arguments, theirs: Option<&Value>) -> Option<Self> {
        let theirs = Self::by_dead_letters(theirs?.as_str()?)?;
        (theirs > Self::of(arguments)?).then_some(theirs)
    }

    /// Whether an exchange is the end of the ladder of a version later than the one that planned these arguments: retries
    /// of services of that version come by it. A ladder that a service named tells no version.
    pub(super) fn is_later_ladder(arguments: &Arguments, exchange: &str) -> bool {
        let theirs = exchange.strip_prefix("rabbitry.v").and_then(|rest| rest.strip_suffix(".delay.out"));
        let theirs = theirs.and_then(|number| number.parse().ok().map(Self));
        theirs.is_some_and(|theirs| Self::of(arguments).is_some_and(|ours| theirs > ours))
    }

    /// The same as [`later`](Self::later), by the text that RabbitMQ refuses these arguments with: it names the first unequal one, and of those the
    /// dead letters' exchange comes first.
    pub(crate) fn later_by_refusal(arguments: &Arguments, text: &str) -> Option<Self> {
        let Unequal { field, theirs } = refusal::unequal(text)?;
        if field == DEAD_LETTER_EXCHANGE { Self::later(arguments, theirs.as_ref()) } else { None }
    }
}

impl Difference {
    /// That a work queue is as it was planned by an earlier version.
    pub(crate) fn of_former(former: &Queue) -> Option<Self> {
        let PlanVersion(version) = PlanVersion::of(&former.arguments)?;
        Some(Self::OtherVersion { queue: former.name.clone(), version, later: false })
    }

    /// That a work queue was planned by a later version, by where its dead letters go.
    pub(crate) fn of_later(queue: &Queue, theirs: Option<&Value>) -> Option<Self> {
        let PlanVersion(version) = PlanVersion::later(&queue.arguments, theirs)?;
        Some(Self::OtherVersion { queue: queue.name.clone(), version, later: true })
    }
}

impl Topology {
    /// The queue of this name in the plans of earlier versions, the newest first.
    pub(crate) fn former_queues<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Queue> {
        self.former.iter().filter_map(move |plan| plan.queues.iter().find(|queue| queue.name == name))
    }
}

impl std::fmt::Display for PlanVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v{}", self.0)
    }
}

pub(crate) const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
