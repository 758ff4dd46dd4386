//! What a test must know of a memory broker.

use std::{collections::BTreeSet, time::SystemTime};

use super::{Memory, state::State};

/// How the names begin of queues that are a connection's own: those of broadcast handlers.
const OWN: &str = "amq.gen-";

impl Memory {
    /// Does what is due by now.
    pub(crate) fn advance(&self) {
        self.shared.with(State::advance);
    }

    /// Ends all connections, as an operator does.
    pub(crate) fn close_connections(&self) {
        for connection in self.shared.connections() {
            connection.end("CONNECTION_FORCED - by the operator");
        }
    }

    /// Ends all connections, and forgets all that it has: it keeps nothing on disk.
    pub(crate) fn restart(&self) {
        self.close_connections();
        self.shared.with(|state, _| *state = State::default());
    }

    /// Says what would happen next without any time passing, if there is something, in queues whose consumers are known:
    /// `in_hand` of their deliveries have arrived, and the `served` queues have a consumer or will soon have one again.
    /// What others hold or leave in queues of theirs may stay there.
    pub(crate) fn in_flight(&self, in_hand: usize, served: &BTreeSet<String>) -> Option<String> {
        self.shared.with(|state, _| {
            let mut unacked = 0;
            for (name, queue) in state.queues() {
                let is_own = name.starts_with(OWN);
                if !is_own && !served.contains(name) {
                    continue;
                }
                unacked += queue.unacked;
                if queue.ready > 0 && (queue.consumers > 0 || !is_own) {
                    return Some(format!("{} messages wait for the consumer of {name}", queue.ready));
                }
            }
            (unacked > in_hand).then(|| format!("{} deliveries are on their way", unacked - in_hand))
        })
    }

    /// The names of all queues.
    pub(crate) fn queues(&self) -> BTreeSet<String> {
        self.shared.with(|state, _| state.queues().map(|(name, _)| name.to_owned()).collect())
    }

    /// When the next message expires that waits for that.
    pub(crate) fn next_expiry(&self) -> Option<SystemTime> {
        self.shared.with(|state, _| state.next_expiry())
    }
}
