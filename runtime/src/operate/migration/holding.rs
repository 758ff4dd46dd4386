//! Where messages are while their queue is made anew.

use crate::topology::{Binding, Destination, Exchange, ExchangeKind, Queue, Topology, holding_queue};

/// The holding queue of a work queue, and the exchange that messages are moved by: it keeps their routing keys.
pub(super) struct Holding {
    pub(super) queue: String,
    pub(super) exchange: String,
}

impl Holding {
    pub(super) fn of(queue: &str) -> Self {
        let name = holding_queue(queue);
        Self { queue: name.clone(), exchange: name }
    }

    /// The two, not bound to each other: the exchange leads to wherever messages are moved.
    pub(super) fn topology(&self) -> Topology {
        Topology {
            exchanges: vec![Exchange::of_ours(&self.exchange, ExchangeKind::Fanout)],
            queues: vec![Queue::at_rest(self.queue.clone())],
            ..Topology::default()
        }
    }

    /// What leads moved messages to a queue.
    pub(super) fn lead(&self, queue: &str) -> Binding {
        Binding::new(&self.exchange, Destination::Queue(queue.to_owned()), "")
    }
}
