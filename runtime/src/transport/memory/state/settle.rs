//! What consumers say of what they got.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use super::{
    ChannelId, State,
    channel::Unacked,
    queue::{Change, Return},
    refusal::Refusal,
};

/// What a channel says of a message, or of all up to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    Ack {
        tag: u64,
        multiple: bool,
    },
    /// `basic.reject` is one without `multiple`.
    Nack {
        tag: u64,
        multiple: bool,
        requeue: bool,
    },
}

impl State {
    /// Settles what a channel has.
    pub(crate) fn settle(
        &mut self,
        channel: ChannelId,
        settlement: Settlement,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        self.advance(now);
        let (Settlement::Ack { tag, multiple } | Settlement::Nack { tag, multiple, .. }) = settlement;
        let settled = self.flow.channels.take(channel, tag, multiple)?;
        let change = match settlement {
            Settlement::Nack { requeue: true, .. } => Change::Returned,
            Settlement::Nack { .. } | Settlement::Ack { .. } => Change::Other,
        };
        for (_, settled) in by_queue(settled) {
            let Some(name) = settled.first().map(|unacked| unacked.queue.clone()) else { continue };
            self.with_queue(&name, |queue, flow| {
                let number = queue.number;
                // What came from an earlier queue of this name is nobody's any more.
                for Unacked { consumer, held, .. } in settled.into_iter().filter(|one| one.number == number) {
                    match settlement {
                        Settlement::Ack { .. } => queue.acknowledge(consumer),
                        Settlement::Nack { requeue: false, .. } => queue.reject(consumer, held, now, flow),
                        Settlement::Nack { requeue: true, .. } => {
                            queue.take_back(consumer, held, Return::Requeued, now, flow);
                        }
                    }
                }
                queue.look_after(change, now, flow);
            });
        }
        self.move_dead(now);
        Ok(())
    }
}

/// What channels had, by the name of the queue that it came from; the order within one is kept.
pub(super) fn by_queue(unacked: Vec<Unacked>) -> BTreeMap<Arc<str>, Vec<Unacked>> {
    let mut queues = BTreeMap::<_, Vec<_>>::new();
    for unacked in unacked {
        queues.entry(Arc::clone(&unacked.queue)).or_default().push(unacked);
    }
    queues
}
