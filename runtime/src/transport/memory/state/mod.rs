//! RabbitMQ 4.0's exchanges and queues as a state machine: what is done to it, and when, are arguments; what it does to
//! others it says as effects. There is no user, permission, policy, transaction, priority or stream in it.

mod arguments;
mod channel;
mod close;
mod consume;
mod dead;
mod death;
mod declare;
mod exchange;
mod flow;
mod letter;
mod publish;
mod queue;
mod refusal;
mod routing;
mod settle;
mod time;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

pub(crate) use death::Reason;
pub(crate) use declare::{QueueDeclaration, QueueDeclared};
#[cfg(test)]
use publish::Published;
pub(crate) use refusal::{Ends, Refusal};
pub(crate) use settle::Settlement;

use crate::transport::Delivery;
use flow::Flow;
use queue::Queue;
use routing::Exchanges;

/// A connection, named by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A channel, named by the caller; no two of different connections are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChannelId(pub(crate) u64);

/// A consumer, named by the caller; no two of different channels are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConsumerId(pub(crate) u64);

/// What the broker does to its clients unasked.
// Nearly all are deliveries: a box for each would only cost.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are deliveries")]
pub(crate) enum Effect {
    /// A message for a consumer.
    Deliver { consumer: ConsumerId, delivery: Delivery },
    /// The consumer's queue is gone.
    Cancelled { consumer: ConsumerId },
}

/// How many messages and consumers a queue has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueInfo {
    /// Those that nobody has. Dead letters that are being moved are not among them.
    pub(crate) ready: usize,
    /// Those that channels have and did not settle.
    pub(crate) unacked: usize,
    pub(crate) consumers: usize,
    /// How many consumers a client is told of.
    pub(crate) users: usize,
}

/// The broker. Whatever refuses ends a channel or the whole connection: the caller closes it here, too.
///
/// Each call with a time first does what is due until then, so that a late caller changes no order.
#[derive(Debug, Default)]
pub(crate) struct State {
    exchanges: Exchanges,
    queues: BTreeMap<Arc<str>, Queue>,
    consumers: BTreeMap<ConsumerId, Subscription>,
    flow: Flow,
    /// The queues to which something happens in time, each at most once, the next first.
    due: BTreeSet<(SystemTime, Arc<str>)>,
    /// The bytes of all bodies.
    held: Arc<AtomicUsize>,
    /// How many queues were ever made.
    made: u64,
}

/// Where a consumer is.
#[derive(Debug)]
struct Subscription {
    channel: ChannelId,
    queue: Arc<str>,
}

impl State {
    /// What happened since the last time, in order.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.flow.effects)
    }

    /// The size of all bodies in queues and at consumers that did not settle them; one in several queues counts once.
    pub(crate) fn bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// What a queue has.
    pub(crate) fn queue(&self, name: &str) -> Option<QueueInfo> {
        self.queues.get(name).map(Queue::info)
    }

    /// All queues, by name.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (&str, QueueInfo)> {
        self.queues.iter().map(|(name, queue)| (name.as_ref(), queue.info()))
    }

    /// How many dead letters a queue keeps because no other queue took them yet; `None` if there is no such queue.
    pub(crate) fn moving(&self, name: &str) -> Option<usize> {
        self.queues.get(name).map(Queue::moving)
    }

    /// How many messages died and reached no other queue, by what they died of.
    pub(crate) fn lost(&self) -> &BTreeMap<Reason, u64> {
        &self.flow.lost
    }

    /// A queue, unless another connection holds it.
    fn accessible(&self, name: &str, connection: ConnectionId) -> Result<&Queue, Refusal> {
        let queue = self.queues.get(name).ok_or_else(|| Refusal::no_queue(name))?;
        match queue.owner {
            Some(owner) if owner != connection => Err(Refusal::locked(name)),
            _ => Ok(queue),
        }
    }

    /// Does something to a queue that is there, and notes when it is due then.
    fn with_queue<T>(&mut self, name: &str, work: impl FnOnce(&mut Queue, &mut Flow) -> T) -> Option<T> {
        let queue = self.queues.get_mut(name)?;
        let result = work(queue, &mut self.flow);
        let due = queue.due();
        if due != queue.scheduled {
            if let Some(scheduled) = queue.scheduled.take() {
                self.due.remove(&(scheduled, Arc::clone(&queue.name)));
            }
            if let Some(due) = due {
                self.due.insert((due, Arc::clone(&queue.name)));
            }
            queue.scheduled = due;
        }
        Some(result)
    }
}

#[cfg(test)]
mod tests;
