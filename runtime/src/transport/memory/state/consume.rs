//! What those do who take messages.

use std::{sync::Arc, time::SystemTime};

use super::{ChannelId, ConnectionId, ConsumerId, State, Subscription, queue::Change, refusal::Refusal};
use crate::transport::Delivery;

impl State {
    /// Adds a consumer that has at most `prefetch` messages at once; 0 is no limit, which on a quorum queue is 2000.
    pub(crate) fn consume(
        &mut self,
        channel: ChannelId,
        connection: ConnectionId,
        queue: &str,
        consumer: ConsumerId,
        prefetch: u16,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        self.advance(now);
        if self.consumers.contains_key(&consumer) {
            return Err(Refusal::consumer_reused(consumer.0));
        }
        let name = Arc::clone(&self.accessible(queue, connection)?.name);
        self.flow.channels.open(channel, connection).consumers.insert(consumer);
        self.consumers.insert(consumer, Subscription { channel, queue: name });
        self.with_queue(queue, |queue, flow| {
            queue.consume(consumer, channel, prefetch);
            queue.look_after(Change::Other, now, flow);
        });
        self.move_dead(now);
        Ok(())
    }

    /// Removes a consumer; what it has can still be settled. One that is not there is no mistake.
    pub(crate) fn cancel(&mut self, consumer: ConsumerId, now: SystemTime) {
        self.advance(now);
        let Some(Subscription { channel, queue }) = self.consumers.remove(&consumer) else { return };
        self.flow.channels.forget(channel, consumer);
        self.leave(&queue, consumer, now);
        // The next one of a queue that serves only one.
        self.with_queue(&queue, |queue, flow| queue.look_after(Change::Other, now, flow));
        self.move_dead(now);
    }

    /// Takes a consumer from its queue, which goes with its last one if it was told so.
    pub(super) fn leave(&mut self, queue: &str, consumer: ConsumerId, now: SystemTime) {
        let unused = self.with_queue(queue, |queue, _| {
            queue.cancel(consumer, now);
            queue.auto_delete && queue.consumers.is_empty()
        });
        if unused == Some(true) {
            self.remove_queue(queue);
        }
    }

    /// Takes one message from a queue, if there is one.
    pub(crate) fn get(
        &mut self,
        channel: ChannelId,
        connection: ConnectionId,
        queue: &str,
        now: SystemTime,
    ) -> Result<Option<Delivery>, Refusal> {
        self.advance(now);
        let accessible = self.accessible(queue, connection)?;
        if accessible.is_quorum() && accessible.settings.single_active {
            return Err(Refusal::not_to_be_got_from(queue));
        }
        self.flow.channels.open(channel, connection);
        let delivery = self.with_queue(queue, |queue, flow| queue.get(channel, now, flow)).flatten();
        self.move_dead(now);
        Ok(delivery)
    }
}
