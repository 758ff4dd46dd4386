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
    /// are known to have arrived and the queues in `consumed` have a consumer or will have one again.
    pub(crate) fn in_flight(&self, in_hand: usize, consumed: &BTreeSet<String>) -> Option<String> {
        self.shared.with(|state, _| {
            let mut unacked = 0;
            for (name, queue) in state.queues() {
                unacked += queue.unacked;
                if queue.ready > 0 && (queue.consumers > 0 || consumed.contains(name)) {
                    return Some(format!("{} messages wait in {name}, which is consumed", queue.ready));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        time::{Clock, SystemClock},
        topology::{Arguments, Queue, QueueType, Topology, TopologyMode},
        transport::{Message, Properties, Transport},
    };

    #[tokio::test]
    async fn what_waits_for_a_consumer_that_was_lost_is_in_flight() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let memory = Memory::new(Arc::clone(&clock));
        let connection = memory.connect("test", &clock).await.unwrap();
        let mut topology = Topology::default();
        topology.queues.push(Queue::named("work", QueueType::Quorum, Arguments::new()));
        connection.declare(&topology, TopologyMode::Declare).await.unwrap();
        let work = BTreeSet::from(["work".to_owned()]);
        assert_eq!(memory.in_flight(0, &work), None);
        let message = Message {
            exchange: String::new(),
            routing_key: "work".to_owned(),
            properties: Properties::default(),
            body: Vec::new().into(),
        };
        let mut channel = connection.publish_channel().await.unwrap();
        channel.write(vec![(&message, true)]).await.remove(0).unwrap().await.unwrap();
        assert!(memory.in_flight(0, &work).is_some_and(|what| what.contains("1 messages wait in work")));
        assert_eq!(memory.in_flight(0, &BTreeSet::new()), None, "nobody will ever take it");
    }
}
