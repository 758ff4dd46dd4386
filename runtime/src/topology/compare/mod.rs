//! What differs between a plan and a broker: values, and the judgement over what a broker was seen to have.

mod display;
mod judge;
pub(crate) mod listing;
pub(crate) mod policies;
pub(crate) mod refusal;

use serde::{Serialize, Serializer};
use serde_json::Value;

#[cfg(feature = "cli")]
pub(crate) use judge::binding;
pub(crate) use judge::{Owner, compare};

use super::Binding;

/// How a plan and a broker differ: what [`Service::compare`](crate::Service::compare) gives.
///
/// It prints as text, each difference with its cure, and is written as JSON by serde, where each difference also has
/// `breaks` and `cure`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The differences.
    #[serde(serialize_with = "told")]
    pub differences: Vec<Difference>,
    /// What could not be checked, and why: a sentence each.
    pub unchecked: Vec<String>,
}

/// One thing that is not on the broker as the plan has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    /// An exchange or a queue of the plan is not there.
    Missing {
        /// Which one.
        object: Object,
    },
    /// A binding of the plan is not there.
    MissingBinding {
        /// The binding.
        binding: Binding,
    },
    /// Something is there that the plan has, but not as the plan has it.
    Unequal {
        /// Which one.
        object: Object,
        /// `type`, `durable`, `auto_delete`, `internal`, `exclusive`, or the name of an argument like `x-delivery-limit`.
        field: String,
        /// What the plan says; `None` for an argument that it does not have.
        #[serde(skip_serializing_if = "Option::is_none")]
        ours: Option<Value>,
        /// What is there; `None` for an argument that is not, [`Value::Null`] where the broker did not say.
        #[serde(skip_serializing_if = "Option::is_none")]
        theirs: Option<Value>,
    },
    /// A handler's queue that a service of another version of the plan made, of an earlier rabbitry or of a later one. It is
    /// taken as it is, and is not compared further.
    OtherVersion {
        /// Its name.
        queue: String,
        /// That version.
        version: u16,
        /// Whether it is later than the plan's.
        later: bool,
    },
    /// A handler's queue is being migrated, or was, until that was interrupted.
    Migrating {
        /// Its name.
        queue: String,
        /// How many messages wait in its holding queue; `None` if the broker has not counted them.
        messages: Option<u64>,
    },
    /// A binding that leads to a work queue of the service and that the plan does not have, as a subscription leaves it that
    /// was renamed or removed.
    StaleBinding {
        /// The binding.
        binding: Binding,
        /// Whether it comes from a delay ladder: retries that wait there come back by it, so it may only go once none do.
        retries: bool,
    },
    /// A queue whose name begins with the service's and that the plan does not have, as a handler leaves it that was renamed
    /// or removed.
    StaleQueue {
        /// Its name.
        queue: String,
        /// How many messages are in it, as the broker counted some seconds ago; `None` if it has not counted.
        messages: Option<u64>,
        /// How many consumers it has: some mean that another program uses it.
        consumers: u64,
        /// What still leads to it, but for bindings with arguments that a plan cannot have.
        bindings: Vec<Binding>,
    },
    /// A policy sets what the plan relies on being otherwise.
    Policy(PolicyInTheWay),
}

/// An exchange or a queue, by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Object {
    /// An exchange.
    Exchange(String),
    /// A queue.
    Queue(String),
}

/// What a policy of the broker's does to an exchange or a queue of the plan.
///
/// RabbitMQ applies policies to queues by their names, whoever declared them: one for `.*` reaches work queues, dead letters
/// and the delay ladder alike. Keep them off rabbitry's queues (`{service}.…` and `rabbitry.…`), or know what they do
/// (all of it measured on 3.10 and on 4.0):
///
/// | key | on a work queue | on dead letters and what is undeliverable | on the delay ladder |
/// | --- | --- | --- | --- |
/// | `max-length`, `max-length-bytes` | it refuses more, see below | **the oldest are dropped** | it refuses more retries and scheduled events |
/// | `overflow`, but `reject-publish` | **wins over the queue's own**: dead letters are moved on at most once, and what a limit pushes out goes to the dead letters unhandled | as without | **retries are moved on at most once** |
/// | `message-ttl` | what waits longer goes to the dead letters unhandled | **dropped after that time** | where shorter: retries come too early |
/// | `expires` | **deleted with its events**, when no instance runs for that time | **deleted with its messages** | **deleted with its messages** |
/// | `delivery-limit` below 20 | goes to the dead letters sooner, after deploys too | **what is looked at and put back that often is dropped** | nothing |
/// | `dead-letter-exchange` | nothing, the queue's own wins | what expires or is rejected leaves it | nothing |
/// | `dead-letter-routing-key` | nothing, the queue's own wins | nothing | **retries go astray** |
/// | `consumer-timeout`, from 3.12 on | the channel of a handler that takes longer is closed | nothing | nothing |
///
/// What stands in bold breaks what is promised.
///
/// # A work queue without room
///
/// A queue of rabbitry's has no limit of length of its own. One that a policy limits refuses events when it is full, and that
/// reaches others:
///
/// - RabbitMQ answers the publisher of an event with a nack when one queue that is bound for it refuses, though all others have
///   stored it. It is sent again, ever more rarely, for half of the publish timeout, and then is a
///   [`PublishError::Nacked`](crate::PublishError::Nacked); each time the other subscribers get it once more, with the same id. What a handler returned waits, with its delivery, until there is room.
/// - Retries and scheduled events for the full queue stay in the delay ladder. 32 of them stop a level: retries of all
///   services that share the ladder wait behind them until there is room, and then for up to three minutes more, which is how
///   often RabbitMQ tries again. Nothing is lost. A service with a ladder of its own,
///   [`Service::delays`](crate::Service::delays), is not touched by others' full queues.
///
/// To bound what waits, watch the length of the queues and the [dead letters](crate::Service::dead_letter_limit) instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PolicyInTheWay {
    /// What it applies to.
    pub object: Object,
    /// The policy's name.
    pub policy: String,
    /// Whether it is an operator policy.
    pub operator: bool,
    /// What it sets: `max-length`, `message-ttl` and so on.
    pub key: String,
    /// What it sets that to.
    pub value: Value,
    /// What it does to the service: a sentence.
    pub effect: String,
    /// Whether it breaks what is promised, and does not only limit it.
    // As JSON it stands with the difference, as every difference's does.
    #[serde(skip)]
    pub breaks: bool,
}

impl Comparison {
    /// Whether no difference was found; see [`unchecked`](Self::unchecked) for what that says nothing of.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    /// The differences that break what is promised: with [`TopologyMode::Verify`](crate::TopologyMode::Verify) a service does
    /// not start then.
    pub fn breaking(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| difference.breaks())
    }
}

impl Difference {
    /// Whether it breaks what is promised: something is missing or unequal, or a policy loses events. What is stale, a policy
    /// that only limits, and an argument beside the plan's that says where a queue lies or how it is stored, does not.
    #[must_use]
    pub fn breaks(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::MissingBinding { .. } => true,
            Self::Unequal { field, ours, .. } => ours.is_some() || ACTED_ON.contains(&field.as_str()),
            Self::OtherVersion { .. }
            | Self::Migrating { .. }
            | Self::StaleBinding { .. }
            | Self::StaleQueue { .. } => false,
            Self::Policy(policy) => policy.breaks,
        }
    }
}

/// The arguments by which a broker moves, drops or withholds messages.
const ACTED_ON: [&str; 13] = [
    "alternate-exchange",
    "x-consumer-timeout",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-message-ttl",
    "x-overflow",
    "x-single-active-consumer",
];

/// The differences with what a reader of JSON cannot compute.
fn told<S: Serializer>(differences: &[Difference], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Told<'a> {
        #[serde(flatten)]
        difference: &'a Difference,
        breaks: bool,
        cure: String,
    }
    serializer.collect_seq(differences.iter().map(|difference| Told {
        difference,
        breaks: difference.breaks(),
        cure: difference.cure(),
    }))
}

#[cfg(test)]
mod tests;
