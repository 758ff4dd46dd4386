//! A channel that consumes one queue.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all};
use lapin::{
    Channel, Consumer,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};

use super::{connection::answered, convert, error};
use crate::{
    time::Clock,
    transport::{Ack, Delivery, TransportError},
};

/// How long writing acknowledgements may take. lapin's futures for them may never end once their channel is closed.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// A consuming channel, used by one task: what it writes reaches the broker in its order.
///
/// A prefetch count holds for consumers that begin after it was set, so a channel that widens has two consumers for a
/// moment: the old one, which is being cancelled, and the new one.
pub(crate) struct ConsumeChannel {
    channel: Channel,
    queue: String,
    clock: Arc<dyn Clock>,
    /// The consumer that receives.
    current: Option<Consumer>,
    /// A cancelled one, until what was on its way has come out.
    ending: Option<Consumer>,
    /// Whether we ended the consumer, so that its end is no loss.
    stopped: bool,
}

impl ConsumeChannel {
    pub(super) fn new(channel: Channel, queue: String, clock: Arc<dyn Clock>) -> Self {
        Self { channel, queue, clock, current: None, ending: None, stopped: false }
    }

    /// Begins to receive with this prefetch count, or goes on with another.
    pub(crate) async fn consume(&mut self, prefetch: u16) -> Result<(), TransportError> {
        let qos = self.channel.basic_qos(prefetch, BasicQosOptions::default());
        answered(&self.clock, "setting the prefetch count", qos).await?;
        let options = BasicConsumeOptions::default();
        let asked = self.channel.basic_consume(convert::short(&self.queue)?, "".into(), options, FieldTable::default());
        let new = answered(&self.clock, "consuming", asked).await?;
        if let Some(old) = self.current.replace(new) {
            self.cancel(old.tag()).await?;
            self.ending = Some(old);
        }
        Ok(())
    }

    /// The next delivery; an error once nothing will come by this channel any more, `None` when that is because it was
    /// [stopped](Self::stop). Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Delivery>, TransportError> {
        loop {
            let Some(current) = &mut self.current else {
                return if self.stopped { Ok(None) } else { Err(TransportError::lost("not consuming")) };
            };
            let next = match &mut self.ending {
                // First what came earlier; an ended stream must not be polled again, it would never answer.
                Some(ending) => match ending.next().await {
                    Some(next) => Some(next),
                    None => {
                        self.ending = None;
                        continue;
                    }
                },
                None => current.next().await,
            };
            return match next {
                // What a dead channel left in the buffer comes again: it must not run.
                Some(Ok(_)) if !self.is_open() => Err(TransportError::lost("the channel is gone")),
                Some(Ok(delivery)) => Ok(Some(convert::delivery(delivery))),
                Some(Err(failed)) => Err(error(&failed)),
                None if self.stopped => {
                    self.current = None;
                    Ok(None)
                }
                // lapin says nothing more when the broker cancels a consumer, as it does when its queue is deleted.
                None => Err(TransportError::lost("the broker cancelled the consumer: its queue was deleted or moved")),
            };
        }
    }

    /// Acknowledges, in this order. When it returns, all is written to the socket; there is no reply that would prove more.
    pub(crate) fn ack(&self, acks: Vec<Ack>) -> impl Future<Output = Result<(), TransportError>> + Send + use<> {
        let channel = self.channel.clone();
        let clock = Arc::clone(&self.clock);
        async move {
            let written = join_all(acks.into_iter().map(|ack| {
                let (tag, multiple) = match ack {
                    Ack::UpTo(tag) => (tag, true),
                    Ack::One(tag) => (tag, false),
                };
                channel.basic_ack(tag, BasicAckOptions { multiple })
            }));
            tokio::select! {
                biased;
                written = written => written.into_iter().collect::<Result<(), _>>().map_err(|failed| error(&failed)),
                () = clock.sleep(ACK_TIMEOUT) => {
                    Err(TransportError::lost(format!("acknowledgements could not be written within {} s", ACK_TIMEOUT.as_secs())))
                }
            }
        }
    }

    /// Whether it can still be used.
    pub(crate) fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    /// Has the broker send no more. What it has sent already still comes out of [`next`](Self::next). The broker's answer
    /// proves that it took every acknowledgement written before.
    pub(crate) async fn stop(&mut self) -> Result<(), TransportError> {
        let Some(current) = &self.current else { return Ok(()) };
        self.stopped = true;
        self.cancel(current.tag()).await
    }

    /// Has the broker prove, after it was [stopped](Self::stop), that it took every acknowledgement written before: the
    /// answer to a get goes through the queue's log. A message that is got comes again once the channel is closed.
    pub(crate) async fn prove(&self) -> Result<(), TransportError> {
        let got = self.channel.basic_get(convert::short(&self.queue)?, BasicGetOptions::default());
        answered(&self.clock, "getting a message", got).await.map(drop)
    }

    /// Closes. What was delivered and not acknowledged goes back to the queue.
    pub(crate) async fn close(self) -> Result<(), TransportError> {
        answered(&self.clock, "closing a channel", self.channel.close(200, "OK".into())).await
    }

    async fn cancel(&self, tag: ShortString) -> Result<(), TransportError> {
        answered(&self.clock, "cancelling", self.channel.basic_cancel(tag, BasicCancelOptions::default())).await
    }
}
