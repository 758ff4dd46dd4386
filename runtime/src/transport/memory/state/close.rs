//! What happens to what those had who are gone.

use std::{collections::BTreeSet, time::SystemTime};

use super::{
    ChannelId, ConnectionId, State,
    queue::{Change, Return},
    settle::by_queue,
};

impl State {
    /// Closes a channel: its consumers are gone and what it has goes back.
    pub(crate) fn close_channel(&mut self, channel: ChannelId, now: SystemTime) {
        self.advance(now);
        self.close(&[channel], None, now);
    }

    /// Closes a connection: its channels, and with them the queues that only it could use.
    pub(crate) fn close_connection(&mut self, connection: ConnectionId, now: SystemTime) {
        self.advance(now);
        self.close(&self.flow.channels.of(connection), Some(connection), now);
    }

    /// All consumers go before any message comes back: none is given to a channel that closes with the same connection.
    fn close(&mut self, channels: &[ChannelId], connection: Option<ConnectionId>, now: SystemTime) {
        let closed: Vec<_> = channels.iter().filter_map(|channel| self.flow.channels.remove(*channel)).collect();
        let mut touched = BTreeSet::new();
        for consumer in closed.iter().flat_map(|channel| &channel.consumers) {
            if let Some(subscription) = self.consumers.remove(consumer) {
                self.leave(&subscription.queue, *consumer, now);
                touched.insert(subscription.queue);
            }
        }
        if connection.is_some() {
            let exclusive = self.queues.values().filter(|queue| queue.owner == connection);
            let exclusive: Vec<_> = exclusive.map(|queue| queue.name.clone()).collect();
            for queue in exclusive {
                self.remove_queue(&queue);
            }
        }
        let unacked = closed.into_iter().flat_map(|channel| channel.unacked.into_values()).collect();
        for (name, returned) in by_queue(unacked) {
            self.with_queue(&name, |queue, flow| {
                let number = queue.number;
                for one in returned.into_iter().filter(|one| one.number == number) {
                    queue.take_back(one.consumer, one.held, Return::Lost, now, flow);
                }
            });
            touched.insert(name);
        }
        for name in touched {
            self.with_queue(&name, |queue, flow| queue.look_after(Change::Returned, now, flow));
        }
        self.move_dead(now);
    }
}
