//! A channel that consumes one queue.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all};
use lapin::{
    Channel, Consumer,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
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
}

impl ConsumeChannel {
    pub(super) fn new(channel: Channel, queue: String, clock: Arc<dyn Clock>) -> Self {
        Self { channel, queue, clock, current: None, ending: None }
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

    /// The next delivery; an error once nothing will come by this channel any more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Delivery, TransportError> {
        loop {
            let Some(current) = &mut self.current else {
                return Err(TransportError::lost("not consuming"));
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
                Some(Ok(delivery)) => Ok(convert::delivery(delivery)),
                Some(Err(failed)) => Err(error(&failed)),
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

    /// Stops to receive and closes. The broker's answer to the cancelling proves that it took every acknowledgement
    /// written before; what it had sent beyond those goes back to the queue.
    pub(crate) async fn close(self) -> Result<(), TransportError> {
        if let Some(current) = &self.current {
            self.cancel(current.tag()).await?;
        }
        answered(&self.clock, "closing a channel", self.channel.close(200, "OK".into())).await
    }

    async fn cancel(&self, tag: ShortString) -> Result<(), TransportError> {
        answered(&self.clock, "cancelling", self.channel.basic_cancel(tag, BasicCancelOptions::default())).await
    }
}
