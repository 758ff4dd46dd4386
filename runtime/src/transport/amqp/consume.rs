//! A channel that consumes one queue.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{BoxFuture, join_all},
};
use lapin::{
    Channel, Consumer,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions, BasicRejectOptions,
    },
    types::{FieldTable, ShortString},
};

use super::{connection::answered, convert, error};
use crate::{
    time::Clock,
    transport::{ConsumeChannel, Delivery, Settlement, TransportError},
};

/// How long writing acknowledgements may take. lapin's futures for them may never end once their channel is closed.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A consuming channel.
///
/// A prefetch count holds for consumers that begin after it was set, so a channel whose number changes has two consumers for
/// a moment: the old one, which is being cancelled, and the new one.
pub(super) struct Consuming {
    channel: Channel,
    queue: String,
    clock: Arc<dyn Clock>,
    /// The consumer that receives.
    current: Option<Consumer>,
    /// Cancelled ones, until what was on its way has come out.
    ending: VecDeque<Consumer>,
    /// Whether we ended the consumer, so that its end is no loss.
    stopped: bool,
}

impl Consuming {
    pub(super) fn new(channel: Channel, queue: String, clock: Arc<dyn Clock>) -> Self {
        Self { channel, queue, clock, current: None, ending: VecDeque::new(), stopped: false }
    }

    /// What ended the channel: it stands behind all that the buffer still holds.
    fn end(&mut self, context: &mut Context<'_>) -> TransportError {
        let Some(current) = &mut self.current else { return TransportError::lost("the channel is gone") };
        loop {
            match current.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(failed))) => return error(&failed),
                Poll::Ready(None) | Poll::Pending => return TransportError::lost("the channel is gone"),
            }
        }
    }

    async fn cancel(&self, tag: ShortString) -> Result<(), TransportError> {
        answered(&self.clock, "cancelling", self.channel.basic_cancel(tag, BasicCancelOptions::default())).await
    }
}

impl ConsumeChannel for Consuming {
    fn consume(&mut self, prefetch: u16) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async move {
            let qos = self.channel.basic_qos(prefetch, BasicQosOptions::default());
            answered(&self.clock, "setting the prefetch count", qos).await?;
            let (queue, options) = (convert::short(&self.queue)?, BasicConsumeOptions::default());
            let asked = self.channel.basic_consume(queue, "".into(), options, FieldTable::default());
            let new = answered(&self.clock, "consuming", asked).await?;
            if let Some(old) = self.current.replace(new) {
                self.cancel(old.tag()).await?;
                self.ending.push_back(old);
            }
            Ok(())
        })
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Delivery>, TransportError>> {
        // First what came earlier; an ended stream must not be polled again, it would never answer.
        let mut next = None;
        while let Some(ending) = self.ending.front_mut() {
            next = ready!(ending.poll_next_unpin(context));
            if next.is_some() {
                break;
            }
            self.ending.pop_front();
        }
        if next.is_none() {
            let Some(current) = &mut self.current else {
                let over = if self.stopped { Ok(None) } else { Err(TransportError::lost("not consuming")) };
                return Poll::Ready(over);
            };
            next = ready!(current.poll_next_unpin(context));
        }
        Poll::Ready(match next {
            // What a dead channel left in the buffer comes again: it must not run.
            Some(Ok(_)) if !self.is_open() => Err(self.end(context)),
            Some(Ok(delivery)) => Ok(Some(convert::delivery(delivery))),
            Some(Err(failed)) => Err(error(&failed)),
            None if self.stopped => {
                self.current = None;
                Ok(None)
            }
            None if !self.is_open() => Err(TransportError::lost("the channel was closed")),
            // lapin says nothing more when the broker cancels a consumer, as it does when its queue is deleted.
            None => Err(TransportError::lost("the broker cancelled the consumer: its queue was deleted or moved")),
        })
    }

    fn settle(&self, settlements: Vec<Settlement>) -> BoxFuture<'static, Result<(), TransportError>> {
        let (channel, clock) = (self.channel.clone(), Arc::clone(&self.clock));
        Box::pin(async move {
            let written = join_all(settlements.into_iter().map(|settlement| settle(&channel, settlement)));
            tokio::select! {
                biased;
                written = written => written.into_iter().collect::<Result<(), _>>().map_err(|failed| error(&failed)),
                () = clock.sleep(SETTLE_TIMEOUT) => {
                    let seconds = SETTLE_TIMEOUT.as_secs();
                    Err(TransportError::lost(format!("acknowledgements could not be written within {seconds} s")))
                }
            }
        })
    }

    fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async move {
            self.stopped = true;
            let Some(current) = &self.current else { return Ok(()) };
            // The answer goes through the queue's log, behind every acknowledgement.
            self.cancel(current.tag()).await
        })
    }

    fn prove(&self) -> BoxFuture<'_, Result<(), TransportError>> {
        Box::pin(async move {
            // So does the answer to a get.
            let got = self.channel.basic_get(convert::short(&self.queue)?, BasicGetOptions::default());
            answered(&self.clock, "getting a message", got).await.map(drop)
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>> {
        Box::pin(async move { answered(&self.clock, "closing a channel", self.channel.close(200, "OK".into())).await })
    }
}

async fn settle(channel: &Channel, settlement: Settlement) -> lapin::Result<()> {
    match settlement {
        Settlement::Ack(tag) => channel.basic_ack(tag, BasicAckOptions { multiple: false }).await,
        Settlement::AckUpTo(tag) => channel.basic_ack(tag, BasicAckOptions { multiple: true }).await,
        Settlement::Requeue(tag) => channel.basic_reject(tag, BasicRejectOptions { requeue: true }).await,
        Settlement::Reject(tag) => channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await,
    }
}
