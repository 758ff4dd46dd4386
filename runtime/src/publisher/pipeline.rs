//! The task that owns the publishing channel: writes in batches, matches confirms, and sends again what was lost.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{
    Outgoing, PublishError, Unrouted,
    flight::{Answered, InFlight},
    window::{Job, Jobs, event_name},
};
use crate::{
    time::Clock,
    transport::{
        Backoff, Confirmed, Connection, ConnectionState, Link, NOT_FOUND, PublishChannel, Returned, TransportError,
    },
};

/// How many messages one write takes at most: from eight on, more change little.
const BATCH: usize = 32;
/// How often a message is sent that the broker will not store, before its caller is told.
const NACKS: u32 = 6;
/// How many publish timeouts an answer may take before it is taken for lost, and its channel with it.
const LOST_AT: u32 = 20;
/// How many answers may be overdue on a channel.
const OVERDUE: usize = 1024;
/// How many names are warned of when nobody listens to them.
const WARNED_NAMES: usize = 1024;

/// The publishing task of a service.
pub(crate) struct Pipeline {
    jobs: Jobs,
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    unrouted: Unrouted,
    /// Cancelled when nobody will publish any more: what is on its way is finished, then the task ends.
    closing: CancellationToken,
    /// How many events reached no queue, for `health`.
    unrouted_count: Arc<AtomicU64>,
    /// The connection's largest frame in bytes, for those who check sizes.
    frame_max: Arc<AtomicUsize>,
    /// How long a confirm may take before it is overdue: the publish timeout.
    patience: Duration,
    /// What was written and not yet answered, by the order of writing; on a loss all of it is sent again.
    unconfirmed: BTreeMap<u64, Job>,
    next: u64,
    /// How many of `unconfirmed`, from the first, go out one at a time: one of them made the broker close the channel,
    /// and alone it shows which.
    suspects: usize,
    /// Whether the channel was lost over a message that was alone on it.
    convicted: bool,
    /// The names that were warned of.
    warned: HashSet<String>,
}

impl Pipeline {
    pub(crate) fn new(
        jobs: Jobs,
        link: Arc<Link>,
        unrouted: Unrouted,
        closing: CancellationToken,
        unrouted_count: Arc<AtomicU64>,
        outgoing: &Outgoing,
    ) -> Self {
        Self {
            jobs,
            link,
            clock: Arc::clone(&outgoing.window.clock),
            unrouted,
            closing,
            unrouted_count,
            frame_max: Arc::clone(&outgoing.frame_max),
            patience: outgoing.window.timeout,
            unconfirmed: BTreeMap::new(),
            next: 0,
            suspects: 0,
            convicted: false,
            warned: HashSet::new(),
        }
    }

    /// Runs until closed and empty.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let connection = tokio::select! {
                connection = self.link.connection() => connection,
                () = self.closing.cancelled(), if self.is_empty() => break,
            };
            self.frame_max.store(connection.frame_max(), Ordering::Relaxed);
            let reason = match connection.publish_channel().await {
                Ok(channel) => match self.serve(&*connection, channel, &mut backoff).await {
                    Ok(()) => break,
                    Err(reason) => reason,
                },
                Err(reason) => reason,
            };
            tracing::warn!(unconfirmed = self.unconfirmed.len(), %reason, "lost the publishing channel; what is unconfirmed is sent again");
            if std::mem::take(&mut self.convicted) {
                // Found and told: the others need not wait for it.
                continue;
            }
            if connection.is_open() {
                self.mend(&*connection, &reason).await;
            }
            self.clock.sleep(backoff.next()).await;
        }
    }

    fn is_empty(&self) -> bool {
        self.unconfirmed.is_empty() && self.jobs.receiver.is_empty()
    }

    /// A channel was closed while its connection lives: the broker misses an exchange, which may be one of ours.
    async fn mend(&self, connection: &dyn Connection, reason: &TransportError) {
        if matches!(reason, TransportError::Refused { code: NOT_FOUND, .. })
            && let Err(error) = self.link.declare_again(connection).await
        {
            tracing::error!(%error, "cannot declare the topology again");
        }
    }

    /// Publishes by a channel until it is lost, or all is done and no more will come.
    async fn serve(
        &mut self,
        connection: &dyn Connection,
        mut channel: Box<dyn PublishChannel>,
        backoff: &mut Backoff,
    ) -> Result<(), TransportError> {
        self.suspects = self.suspects.min(self.unconfirmed.len());
        self.unconfirmed.values_mut().for_each(|job| job.looks = None);
        let mut flight = InFlight::default();
        let mut lost = connection.lost();
        self.send_again(&mut *channel, &mut flight, connection).await?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut drained = false;
        let patience = self.patience;
        let mut look = self.clock.sleep(patience);
        while !(drained && self.unconfirmed.is_empty()) {
            // What rests is no part of the batch: it goes with the next.
            let barrier = self.unrouted == Unrouted::Fail && !flight.is_complete();
            tokio::select! {
                biased;
                Some((number, answer)) = flight.confirms.next(), if !flight.confirms.is_empty() => {
                    self.answered(&mut flight, number, answer)?;
                    *backoff = Backoff::default();
                }
                Some(number) = flight.resting.next(), if !flight.resting.is_empty() => {
                    self.write(&mut *channel, &mut flight, &[number]).await?;
                }
                count = self.jobs.receiver.recv_many(&mut batch, BATCH), if !barrier && !drained => {
                    drained = count == 0;
                    let first = self.next;
                    for job in batch.drain(..) {
                        self.unconfirmed.insert(self.next, job);
                        self.next += 1;
                    }
                    let numbers: Vec<u64> = (first..self.next).collect();
                    self.write(&mut *channel, &mut flight, &numbers).await?;
                }
                () = self.closing.cancelled(), if !self.jobs.receiver.is_closed() => self.jobs.receiver.close(),
                () = &mut look => {
                    look = self.clock.sleep(patience);
                    self.look(&mut flight, connection)?;
                }
                // Confirms in flight tell of a loss themselves; this is for when there are none.
                () = &mut lost, if flight.confirms.is_empty() => {
                    return Err(TransportError::lost("the connection is gone"));
                }
            }
        }
        if let Err(reason) = channel.close().await {
            tracing::debug!(%reason, "the publishing channel did not close well; all was confirmed");
        }
        Ok(())
    }

    /// Looks, once in a publish timeout, at what the broker owes an answer. A queue without a leader never gives one: its
    /// messages must not hold up the others. They are not written again on this channel, which would only fill it: RabbitMQ
    /// still has them.
    ///
    /// # Errors
    /// Some are so old that the answer itself must be lost.
    fn look(&mut self, flight: &mut InFlight, connection: &dyn Connection) -> Result<(), TransportError> {
        if matches!(connection.state(), ConnectionState::Blocked(_)) {
            // It owes nothing: it has not read what we wrote.
            return Ok(());
        }
        let mut oldest = 0;
        self.unconfirmed.retain(|number, job| {
            let Some(looks) = &mut job.looks else { return true };
            *looks += 1;
            oldest = oldest.max(*looks);
            if *looks > 1 {
                flight.overdue.insert(*number);
            }
            // Its caller was told that the outcome is unknown.
            *looks <= 1 || !job.is_abandoned()
        });
        self.suspects = self.suspects.min(self.unconfirmed.len());
        if oldest < LOST_AT && flight.overdue.len() < OVERDUE {
            self.answer_batch_if_complete(flight);
            return Ok(());
        }
        Err(TransportError::lost(format!(
            "{} events had no answer for a long time: a queue that they go to has no leader, or the answers are lost",
            flight.overdue.len()
        )))
    }

    /// What an earlier channel left unconfirmed goes first, in its order; suspects one at a time.
    async fn send_again(
        &mut self,
        channel: &mut dyn PublishChannel,
        flight: &mut InFlight,
        connection: &dyn Connection,
    ) -> Result<(), TransportError> {
        let numbers: Vec<u64> = self.unconfirmed.keys().copied().collect();
        let (suspects, others) = numbers.split_at(self.suspects);
        for number in suspects {
            self.write(channel, flight, &[*number]).await?;
            loop {
                let answer = tokio::select! {
                    biased;
                    answer = flight.confirms.next() => answer,
                    () = self.clock.sleep(self.patience) => {
                        self.look(flight, connection)?;
                        if flight.is_complete() {
                            break;
                        }
                        continue;
                    }
                };
                let Some((answered, answer)) = answer else { break };
                match answer {
                    // An overdue one's: its channel is gone, but not over it.
                    Err(TransportError::Refused { .. }) if answered != *number => {}
                    Err(TransportError::Refused { code, text }) => {
                        // Alone on the channel: this is the one that the broker refuses.
                        self.suspects = self.suspects.saturating_sub(1);
                        self.convicted = true;
                        if let Some(job) = self.unconfirmed.remove(number) {
                            let event = event_name(&job.message);
                            job.fail(PublishError::Refused { event, code, text: text.clone() });
                        }
                        return Err(TransportError::Refused { code, text });
                    }
                    answer => self.answered(flight, answered, answer)?,
                }
            }
            self.suspects = self.suspects.saturating_sub(1);
        }
        for batch in others.chunks(BATCH) {
            self.write(channel, flight, batch).await?;
        }
        Ok(())
    }

    /// Writes jobs that are in `unconfirmed`.
    async fn write(
        &mut self,
        channel: &mut dyn PublishChannel,
        flight: &mut InFlight,
        numbers: &[u64],
    ) -> Result<(), TransportError> {
        for number in numbers {
            // Nobody waits for it any more: what was not sent in its time is not sent later.
            if self.unconfirmed.get(number).is_some_and(Job::is_abandoned) {
                self.unconfirmed.remove(number);
            }
        }
        let jobs = numbers.iter().filter_map(|number| self.unconfirmed.get(number));
        let written = channel.write(jobs.map(|job| (&job.message, job.mandatory)).collect()).await;
        let present: Vec<u64> =
            numbers.iter().copied().filter(|number| self.unconfirmed.contains_key(number)).collect();
        let mut lost = None;
        for (number, result) in present.into_iter().zip(written) {
            match result {
                Ok(confirm) => {
                    if let Some(job) = self.unconfirmed.get_mut(&number) {
                        job.looks = Some(0);
                    }
                    flight.add(number, confirm);
                }
                // It never reached the wire, so the channel is well.
                Err(TransportError::Unwritable { text }) => {
                    if let Some(job) = self.unconfirmed.remove(&number) {
                        let event = event_name(&job.message);
                        job.fail(PublishError::Unwritable { event, text });
                    }
                }
                Err(error) => lost = Some(error),
            }
        }
        let Some(error) = lost else { return Ok(()) };
        // The confirms that are already in flight know better why: the broker's answer came to them.
        let mut over = self.clock.sleep(self.patience);
        loop {
            tokio::select! {
                biased;
                answer = flight.confirms.next() => match answer {
                    Some((number, answer)) => self.answered(flight, number, answer)?,
                    None => return Err(error),
                },
                () = &mut over => return Err(error),
            }
        }
    }

    fn answered(&mut self, flight: &mut InFlight, number: u64, answer: Answered) -> Result<(), TransportError> {
        let (confirmed, returned) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, TransportError::Refused { .. }) {
                    self.suspects = self.unconfirmed.len();
                }
                return Err(error);
            }
        };
        if let Some(returned) = returned {
            self.came_back(flight, returned);
        }
        match confirmed {
            Confirmed::Nack => self.nacked(flight, number),
            Confirmed::Ack if self.unrouted == Unrouted::Fail => {
                if let Some(job) = self.unconfirmed.get_mut(&number) {
                    job.looks = None;
                }
                flight.confirmed.push(number);
            }
            Confirmed::Ack => {
                if let Some(job) = self.unconfirmed.remove(&number) {
                    job.confirm();
                }
            }
        }
        flight.overdue.remove(&number);
        self.answer_batch_if_complete(flight);
        Ok(())
    }

    fn nacked(&mut self, flight: &mut InFlight, number: u64) {
        let Some(mut job) = self.unconfirmed.remove(&number) else { return };
        job.nacks += 1;
        job.looks = None;
        if job.nacks >= NACKS {
            let event = event_name(&job.message);
            let tries = job.nacks;
            job.fail(PublishError::Nacked { event, tries });
            return;
        }
        let mut backoff = Backoff::default();
        let wait = (0..job.nacks).map(|_| backoff.next()).last().unwrap_or_default();
        self.unconfirmed.insert(number, job);
        let rest = self.clock.sleep(wait);
        flight.resting.push(Box::pin(async move {
            rest.await;
            number
        }));
    }

    fn came_back(&mut self, flight: &mut InFlight, returned: Returned) {
        self.unrouted_count.fetch_add(1, Ordering::Relaxed);
        if self.warned.len() < WARNED_NAMES && self.warned.insert(returned.routing_key.clone()) {
            tracing::warn!(
                event = returned.routing_key,
                exchange = returned.exchange,
                "an event reached no queue: nothing is bound for it; said once for each name"
            );
        }
        if self.unrouted == Unrouted::Fail {
            flight.returned.insert(returned);
        }
    }

    /// Answers once all confirms of the batch are in, and with them all that came back.
    fn answer_batch_if_complete(&mut self, flight: &mut InFlight) {
        if !flight.is_complete() {
            return;
        }
        for number in flight.confirmed.drain(..) {
            let Some(job) = self.unconfirmed.remove(&number) else { continue };
            // Not by the id alone: two events may have been given the same.
            let as_returned = Returned {
                message_id: job.message.properties.message_id.clone(),
                exchange: job.message.exchange.clone(),
                routing_key: job.message.routing_key.clone(),
            };
            if job.mandatory && flight.returned.contains(&as_returned) {
                let event = event_name(&job.message);
                job.fail(PublishError::Unrouted { event, exchange: as_returned.exchange });
            } else {
                job.confirm();
            }
        }
        flight.returned.clear();
    }
}
