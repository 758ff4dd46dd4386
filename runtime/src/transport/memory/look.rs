//! What a test must know of a memory broker.

use std::{collections::BTreeSet, time::SystemTime};

use super::{Memory, state::State};

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

    /// Says what the broker's next step would be without any time passing, if there is one, where `in_hand` deliveries
    /// are known to have arrived.
    pub(crate) fn in_flight(&self, in_hand: usize) -> Option<String> {
        self.shared.with(|state, _| {
            let mut unacked = 0;
            for (name, queue) in state.queues() {
                unacked += queue.unacked;
                if queue.consumers > 0 && queue.ready > 0 {
                    return Some(format!("{} messages wait in {name}, which has a consumer", queue.ready));
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
