//! The version of a plan: what services share on the broker carries it in its name.
//!
//! The arguments of what is declared never change within a version. A rabbitry that needs others makes a later version
//! beside the earlier ones, and services of both run on one broker: a queue that is there already is taken as it is.

use super::{
    Arguments,
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

    /// The version of the rabbitry that made a queue, if it is later than the one whose arguments RabbitMQ refuses with
    /// this text: it names the first unequal argument, and of those the dead letters' exchange comes first.
    pub(crate) fn later(arguments: &Arguments, text: &str) -> Option<Self> {
        let ours = Self::by_dead_letters(arguments.get(DEAD_LETTER_EXCHANGE)?.as_text()?)?;
        let Unequal { field, theirs } = refusal::unequal(text)?;
        let theirs = Self::by_dead_letters(theirs?.as_str()?)?;
        (field == DEAD_LETTER_EXCHANGE && theirs > ours).then_some(theirs)
    }
}

impl std::fmt::Display for PlanVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v{}", self.0)
    }
}

const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
