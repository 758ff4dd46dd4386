//! The task that owns the publishing channel: writes in batches, matches confirms, and sends again what was lost.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::{
    Outgoing, PublishError, Unrouted, flight::InFlight, refusals::Refusals, unanswered::Unanswered, window::Jobs,
};
use crate::{
    time::Clock,
    transport::{
        Backoff, Connection, ConnectionState, Life, Lifecycle, Link, Loss, NOT_FOUND, PublishChannel, TransportError,
    },
};

/// How many messages one write takes at most. Each write is a turn of the connection's own thread, so eight at a time take a quarter
/// more processor time than 30; beyond 60 nothing changes.
const BATCH: usize = 60;
/// How many publish timeouts an answer may take before it is taken for lost, and its channel with it.
const LOST_AT: u32 = 20;
/// How soon after the topology was declared because of one event it is declared again because of another.
const MENDED: Duration = Duration::from_secs(1);
/// How long a channel that is given up may wait for what it still owes.
const PARTING: Duration = Duration::from_secs(2);
/// How many answers may be overdue on a channel.
const OVERDUE: usize = 1024;

/// The publishing task of a service.
pub(crate) struct Pipeline {
    jobs: Jobs,
    pub(super) link: Arc<Link>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) unrouted: Unrouted,
    /// Cancelled when nobody will publish any more: what is on its way is finished, then the task ends.
    closing: CancellationToken,
    /// How many events reached no queue, for `health`.
    pub(super) unrouted_count: Arc<AtomicU64>,
    /// The connection's largest frame in bytes, for those who check sizes.
    frame_max: Arc<AtomicUsize>,
    /// How long a confirm may take before it is overdue: the publish timeout.
    pub(super) patience: Duration,
    /// What has come and is not answered yet; on a loss all of it is sent again.
    pub(super) unanswered: Unanswered,
    /// Whether no more will come.
    drained: bool,
    /// Whether the channel was lost over a message that was alone on it.
    pub(super) convicted: bool,
    /// Whether the channel refuses what another might not.
    pub(super) refusals: Refusals,
    /// The names that were warned of.
    pub(super) warned: HashSet<String>,
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
            unanswered: Unanswered::default(),
            drained: false,
            convicted: false,
            refusals: Refusals::new(outgoing.window.clock.now()),
            warned: HashSet::new(),
        }
    }

    /// Runs until closed and empty.
    pub(crate) async fn run(mut self) {
        let (link, clock) = (Arc::clone(&self.link), Arc::clone(&self.clock));
        let (mut backoff, mut loss, mut mended) = (Backoff::default(), Loss::Own, SystemTime::UNIX_EPOCH);
        loop {
            let Some(connection) = self.meanwhile(link.connection()).await else { break };
            self.frame_max.store(connection.frame_max(), Ordering::Relaxed);
            self.jobs.task.standing.connected(&connection);
            // A blocked connection opens no channel.
            if self.meanwhile(connection.unblocked()).await.is_none() {
                break;
            }
            let reason = match self.meanwhile(connection.publish_channel()).await {
                None => break,
                Some(Ok(channel)) => {
                    self.life().running(loss, None);
                    match self.serve(&*connection, channel, &mut backoff).await {
                        Ok(()) => break,
                        Err(reason) => reason,
                    }
                }
                Some(Err(reason)) => reason,
            };
            self.unanswered.lost();
            // Of a lost connection its link tells.
            loss = if connection.is_open() { Loss::Own } else { Loss::Followed };
            self.life().lost(&reason, loss);
            tracing::debug!(unconfirmed = self.unanswered.len(), "what is unconfirmed is sent again");
            if std::mem::take(&mut self.convicted) {
                // Found and told: the others need not wait for it. What is missing may be ours, and the next one needs it.
                let now = clock.now();
                let is_due = now.duration_since(mended).map_or(true, |since| since >= MENDED);
                if is_due && connection.is_open() {
                    mended = now;
                    if self.meanwhile(mend(&link, &*connection, &reason)).await.is_none() {
                        break;
                    }
                }
                continue;
            }
            if connection.is_open() && self.meanwhile(mend(&link, &*connection, &reason)).await.is_none() {
                break;
            }
            if self.meanwhile(clock.sleep(backoff.next())).await.is_none() {
                break;
            }
        }
        self.life().enter(Lifecycle::Closed);
    }

    fn life(&self) -> &Life {
        &self.jobs.task.standing.life
    }

    /// Waits for something while there is no channel to write to: what comes is taken in, and what its caller gives up is
    /// let go, so that it holds no place in the window. `None` when it is closed and nothing is left to do.
    async fn meanwhile<T>(&mut self, waiting: impl Future<Output = T>) -> Option<T> {
        let mut waiting = std::pin::pin!(waiting);
        let mut taken = Vec::with_capacity(BATCH);
        loop {
            let is_empty = self.unanswered.is_empty() && self.jobs.receiver.is_empty();
            tokio::select! {
                biased;
                output = &mut waiting => return Some(output),
                () = self.closing.cancelled(), if is_empty => return None,
                () = self.closing.cancelled(), if !self.jobs.receiver.is_closed() => self.jobs.receiver.close(),
                count = self.jobs.receiver.recv_many(&mut taken, BATCH), if !self.drained => {
                    self.drained = count == 0;
                    self.unanswered.take_in(taken.drain(..));
                }
                () = self.jobs.task.given_up.notified() => self.unanswered.let_go(),
            }
        }
    }

    /// Publishes by a channel until it is lost, or all is done and no more will come.
    async fn serve(
        &mut self,
        connection: &dyn Connection,
        mut channel: Box<dyn PublishChannel>,
        backoff: &mut Backoff,
    ) -> Result<(), TransportError> {
        self.refusals.begin(self.clock.now());
        let suspects = self.unanswered.begin();
        let mut flight = InFlight::new(Arc::clone(&self.clock));
        let mut lost = connection.lost();
        self.try_alone(&suspects, &mut *channel, &mut flight, connection).await?;
        let (mut taken, mut answered) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let patience = self.patience;
        let mut look = self.clock.sleep(patience);
        let mut parting: Option<BoxFuture<'static, ()>> = None;
        loop {
            if self.refusals.is_stale() && parting.is_none() {
                parting = Some(self.clock.sleep(PARTING));
            }
            if self.refusals.is_stale() && flight.is_complete() {
                return Err(given_up(channel).await);
            }
            // What rests is no part of the batch: it goes with the next.
            let barrier = self.refusals.is_stale() || (self.unrouted == Unrouted::Fail && !flight.is_complete());
            let blocked = (barrier || self.unanswered.has_more()) && is_blocked(connection);
            // What is not even written to a blocked connection can still be withdrawn.
            if !barrier && !blocked && self.unanswered.has_more() {
                let batch = self.unanswered.next_batch(BATCH);
                self.write(&mut *channel, &mut flight, &batch).await?;
                continue;
            }
            if self.drained && self.unanswered.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = flight.confirms.next_ones(&mut answered, BATCH), if !flight.confirms.is_empty() => {
                    self.answered(&mut flight, answered.drain(..))?;
                    *backoff = Backoff::default();
                }
                Some(number) = flight.resting.next(), if !flight.resting.is_empty() => self.unanswered.again(number),
                count = self.jobs.receiver.recv_many(&mut taken, BATCH), if (blocked || !barrier) && !self.drained => {
                    self.drained = count == 0;
                    self.unanswered.take_in(taken.drain(..));
                }
                // Not made before it is needed.
                () = async { connection.unblocked().await }, if blocked => {}
                () = self.jobs.task.given_up.notified(), if blocked => self.unanswered.let_go(),
                () = self.closing.cancelled(), if !self.jobs.receiver.is_closed() => self.jobs.receiver.close(),
                // A queue that is silent must not hold up the others: what it owes is sent again, with its id.
                () = async { if let Some(parting) = &mut parting { parting.await } }, if parting.is_some() => {
                    return Err(given_up(channel).await);
                }
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
        if is_blocked(connection) {
            // It owes nothing: it has not read what we wrote.
            return Ok(());
        }
        let mut oldest = 0;
        self.unanswered.retain_owed(|number, job, looks| {
            let looks = looks + 1;
            job.looks = Some(looks);
            oldest = oldest.max(looks);
            if looks > 1 {
                flight.overdue.insert(number);
            }
            // Its caller was told that the outcome is unknown.
            looks <= 1 || !job.is_abandoned()
        });
        if oldest < LOST_AT && flight.overdue.len() < OVERDUE {
            self.answer_batch_if_complete(flight);
            return Ok(());
        }
        Err(TransportError::lost(format!(
            "{} events had no answer for a long time: a queue that they go to has no leader, or the answers are lost",
            flight.overdue.len()
        )))
    }

    /// Writes suspects, one at a time: alone on its channel, the one that the broker refuses shows itself.
    async fn try_alone(
        &mut self,
        suspects: &[u64],
        channel: &mut dyn PublishChannel,
        flight: &mut InFlight,
        connection: &dyn Connection,
    ) -> Result<(), TransportError> {
        for suspect in suspects {
            self.write(channel, flight, &[*suspect]).await?;
            while !flight.is_complete() {
                tokio::select! {
                    biased;
                    Some((number, answer)) = flight.confirms.next() => match answer {
                        Err(TransportError::Refused { code, text }) if number == *suspect => {
                            self.convict(number, code, &text);
                            return Err(TransportError::Refused { code, text });
                        }
                        // An overdue one's: its channel is gone, but not over it.
                        Err(TransportError::Refused { .. }) => _ = flight.overdue.remove(&number),
                        answer => self.answered(flight, [(number, answer)])?,
                    },
                    () = self.clock.sleep(self.patience) => self.look(flight, connection)?,
                }
            }
            if let Some(job) = self.unanswered.get_mut(*suspect) {
                job.suspect = false;
            }
        }
        Ok(())
    }

    /// Writes jobs that are still waited for.
    async fn write(
        &mut self,
        channel: &mut dyn PublishChannel,
        flight: &mut InFlight,
        numbers: &[u64],
    ) -> Result<(), TransportError> {
        let begun = self.unanswered.begin_writing(numbers);
        let jobs = begun.iter().filter_map(|number| self.unanswered.get(*number));
        let written = channel.write(jobs.map(|job| (job.message(), job.mandatory())).collect()).await;
        let mut lost = None;
        for (number, result) in begun.into_iter().zip(written) {
            match result {
                Ok(confirm) => {
                    if let Some(job) = self.unanswered.get_mut(number) {
                        job.looks = Some(0);
                        flight.confirms.add(number, job.message(), confirm);
                    }
                }
                // It never reached the wire, so the channel is well.
                Err(TransportError::Unwritable { text }) => {
                    if let Some(job) = self.unanswered.remove(number) {
                        let event = job.event();
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
                    Some(answer) => self.answered(flight, [answer])?,
                    None => return Err(error),
                },
                () = &mut over => return Err(error),
            }
        }
    }
}

/// Closes a channel by which the broker refuses what it might not refuse by another.
async fn given_up(channel: Box<dyn PublishChannel>) -> TransportError {
    // It is left in any case.
    _ = channel.close().await;
    TransportError::lost(
        "the broker goes on refusing events by this channel: a queue is full, or has another leader that only a new channel finds",
    )
}

fn is_blocked(connection: &dyn Connection) -> bool {
    matches!(connection.state(), ConnectionState::Blocked(_))
}

/// A channel was closed while its connection lives: the broker misses an exchange, which may be one of ours.
async fn mend(link: &Link, connection: &dyn Connection, reason: &TransportError) {
    if matches!(reason, TransportError::Refused { code: NOT_FOUND, .. })
        && let Err(error) = link.declare_again(connection).await
    {
        tracing::error!(%error, "cannot declare the topology again");
    }
}
