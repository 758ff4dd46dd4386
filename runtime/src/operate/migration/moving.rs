//! Moves messages from one queue to another: each is stored there before it is acknowledged here.

use std::{future::poll_fn, task::Poll, time::Duration};

use futures_util::future::join_all;

use super::Step;
use crate::{
    envelope::{Limits, moved},
    time::Clock,
    transport::{
        Confirm, Confirmed, Connection, ConsumeChannel, Delivery, Message, PublishChannel, Settlement, TransportError,
    },
};

/// How many messages are on their way at a time. They are in memory, whatever their size.
const BATCH: u16 = 32;
/// How long the broker may take to store them.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(60);
/// How many quiet times a round may take beyond what waited when it began.
const PATIENCE: u32 = 5;

/// What is moved, and by what.
pub(super) struct Moving<'a> {
    pub(super) connection: &'a dyn Connection,
    pub(super) clock: &'a dyn Clock,
    pub(super) from: &'a str,
    /// The exchange that leads to the other queue.
    pub(super) exchange: &'a str,
    /// How long nothing must have come for the queue to be empty.
    pub(super) quiet: Duration,
}

/// What a round came to.
pub(super) struct Round {
    /// How many messages it moved.
    pub(super) moved: u64,
    /// Whether nothing came any more in the end.
    pub(super) quiet: bool,
}

/// Why messages stay where they are.
pub(super) enum Stays {
    NotStored(String),
    Failed(TransportError),
}

impl From<TransportError> for Stays {
    fn from(error: TransportError) -> Self {
        Self::Failed(error)
    }
}

impl Moving<'_> {
    /// Moves what is there and what comes, until nothing came for the quiet time, or until it would never end.
    pub(super) async fn round(&self, told: &(dyn Fn(Step) + Sync)) -> Result<Round, Stays> {
        let waiting = self.connection.usage(self.from).await?.ready;
        let mut from = self.connection.consume_channel(self.from.to_owned()).await?;
        let mut to = self.connection.publish_channel().await?;
        from.consume(BATCH).await?;
        let (mut count, mut quiet) = (0, false);
        let mut patience = std::pin::pin!(self.clock.sleep(self.quiet.saturating_mul(PATIENCE)));
        let mut impatient = false;
        // What waited comes, however long it takes.
        while !(impatient && count >= waiting) {
            let first = tokio::select! {
                biased;
                first = from.next() => first?,
                () = &mut patience, if !impatient => {
                    impatient = true;
                    continue;
                }
                () = self.clock.sleep(self.quiet) => {
                    quiet = true;
                    break;
                }
            };
            let Some(first) = first else { break };
            count += self.pass_on(first, &mut from, &mut to, told).await?;
        }
        // Its answer proves that all acknowledgements were taken.
        from.stop().await?;
        while let Some(late) = from.next().await? {
            quiet = false;
            count += self.pass_on(late, &mut from, &mut to, told).await?;
        }
        // What it gave since is few, and settled before it closes.
        from.close().await?;
        to.close().await?;
        Ok(Round { moved: count, quiet })
    }

    /// Moves a delivery, and what has come with it.
    async fn pass_on(
        &self,
        first: Delivery,
        from: &mut Box<dyn ConsumeChannel>,
        to: &mut Box<dyn PublishChannel>,
        told: &(dyn Fn(Step) + Sync),
    ) -> Result<u64, Stays> {
        let mut batch = vec![first];
        while batch.len() < BATCH.into() {
            match poll_fn(|context| Poll::Ready(from.poll_next(context))).await {
                Poll::Ready(Ok(Some(delivery))) => batch.push(delivery),
                Poll::Ready(Err(lost)) => return Err(lost.into()),
                Poll::Ready(Ok(None)) | Poll::Pending => break,
            }
        }
        let Some(last) = batch.last().map(|delivery| delivery.tag) else { return Ok(0) };
        let limits = Limits { frame_max: self.connection.frame_max() };
        let copies: Vec<Message> =
            batch.iter().map(|delivery| moved(&delivery.message, self.exchange.to_owned(), limits)).collect();
        self.store(to, &copies).await?;
        let messages = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        told(Step::Copied { from: self.from.to_owned(), messages });
        from.settle(vec![Settlement::AckUpTo(last)]).await?;
        told(Step::Moved { from: self.from.to_owned(), messages });
        Ok(messages)
    }

    /// Publishes, and returns once all are stored.
    async fn store(&self, to: &mut Box<dyn PublishChannel>, copies: &[Message]) -> Result<(), Stays> {
        let storing = async {
            let written = to.write(copies.iter().map(|copy| (copy, true)).collect()).await;
            let confirms = written.into_iter().collect::<Result<Vec<Confirm>, _>>()?;
            for answer in join_all(confirms).await {
                match answer? {
                    (Confirmed::Ack, None) => {}
                    // Whichever of them it is, none is acknowledged.
                    (Confirmed::Ack, Some(returned)) => {
                        let exchange = returned.exchange;
                        return Err(Stays::NotStored(format!("no queue is bound to exchange `{exchange}` any more")));
                    }
                    (Confirmed::Nack, _) => {
                        let reason = "the broker answered no, as a full queue does: look for a policy that limits it";
                        return Err(Stays::NotStored(reason.to_owned()));
                    }
                }
            }
            Ok(())
        };
        tokio::select! {
            biased;
            stored = storing => stored,
            () = self.clock.sleep(CONFIRM_TIMEOUT) => Err(Stays::NotStored(format!(
                "no answer within {} s; the broker may have an alarm",
                CONFIRM_TIMEOUT.as_secs()
            ))),
        }
    }
}
