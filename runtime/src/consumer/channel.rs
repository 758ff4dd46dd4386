//! The life of one consuming channel: deliveries in, runs, acknowledgements out.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, poll_immediate},
};
use tokio_util::sync::{CancellationToken, ReusableBoxFuture};

use super::{Consumer, Ended, Stopped, TICK, settle::Settler, worker::unanswered};
use crate::transport::{ConsumeChannel, Delivery, Lifecycle, TransportError};

/// How many finished deliveries are acknowledged at once, at most.
const FLUSH_AT: usize = 64;
/// How long a finished delivery waits for others at most.
const FLUSH_AFTER: Duration = Duration::from_millis(5);
/// How long deliveries are begun one after the other before anything else is looked at: less than what is finished waits.
const SLICE: Duration = Duration::from_millis(1);
/// How long no delivery means that there is none to be careful with.
const QUIET: Duration = Duration::from_millis(100);
/// How long a run on a message whose consumer has died is alone.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many deaths make it likely that it is the message that kills: it stays alone.
const LIKELY: i64 = 2;

/// How many acknowledging frames a broker is known to take that come after its answer to a cancel and right before the
/// channel's end; of more it may forget some.
const UNPROVEN: usize = 32;

/// What is under way on one channel.
struct Serving {
    channel: Box<dyn ConsumeChannel>,
    settler: Settler,
    /// Cancelled when the channel is gone: what waits for its deliveries need wait no longer.
    gone: Arc<CancellationToken>,
    /// Acknowledgements that are being written. One flush at a time, so that they reach the broker in their order.
    flush: Option<BoxFuture<'static, Result<(), TransportError>>>,
    /// When what is finished is acknowledged, however little it is.
    flush_due: Option<BoxFuture<'static, ()>>,
    /// Since when something is finished that is not acknowledged.
    finished: Option<SystemTime>,
    /// While the broker sends few ahead: when it may send more.
    widen_due: Option<BoxFuture<'static, ()>>,
    /// Whether it sends one at a time.
    is_careful: bool,
    /// When it sends one more beside what is in hand, although that is not known to be safe.
    beside_due: Option<BoxFuture<'static, ()>>,
    /// The delivery that came last.
    latest: u64,
    /// When the channel is looked at, which gives nothing while all hands are full.
    tick: BoxFuture<'static, ()>,
    phase: Phase,
    /// How many acknowledging frames were written since the broker was told to send no more.
    unproven: usize,
}

/// How far a channel's life has come.
enum Phase {
    Receiving,
    /// The broker sends no more. What it had sent ahead is still begun until this ends, since giving it back counts as a
    /// delivery: some deploys in a row would make it look like what kills its consumers.
    Draining(BoxFuture<'static, ()>),
    /// Nothing more is begun.
    Finishing,
}

impl Consumer {
    /// Serves a channel until it is lost or the consumer is stopped.
    pub(super) async fn serve(
        &mut self,
        channel: Box<dyn ConsumeChannel>,
        prefetch: u16,
    ) -> Result<Stopped, TransportError> {
        self.generation += 1;
        let clock = &self.worker.clock;
        let gone = CancellationToken::new();
        // Whatever way this ends.
        let _gone = gone.clone().drop_guard();
        let mut serving = Serving {
            channel,
            settler: Settler::default(),
            // A clone of the token itself takes a lock, and each run has one.
            gone: Arc::new(gone),
            flush: None,
            flush_due: None,
            finished: None,
            widen_due: (prefetch < self.prefetch).then(|| clock.sleep(QUIET)),
            is_careful: prefetch == 1 && self.prefetch > 1,
            beside_due: None,
            latest: 0,
            tick: clock.sleep(TICK),
            phase: Phase::Receiving,
            unproven: 0,
        };
        tracing::debug!(queue = &*self.worker.queue, prefetch, "consuming");
        self.receive(&mut serving).await?;
        self.goodbye(serving).await
    }

    /// Works on what comes until it is stopped and done.
    async fn receive(&mut self, serving: &mut Serving) -> Result<(), TransportError> {
        let clock = Arc::clone(&self.worker.clock);
        loop {
            if !serving.phase.begins() && self.runs.is_empty() {
                break;
            }
            let (takes, receives) =
                (serving.phase.begins() && self.runs.len() < self.concurrency, serving.phase.receives());
            tokio::select! {
                biased;
                () = self.cut.cancelled() => break,
                () = self.stopping.cancelled(), if receives => self.stop_receiving(serving).await?,
                Some(ended) = self.runs.next(), if !self.runs.is_empty() => self.ended(serving, &ended),
                written = due(&mut serving.flush), if serving.flush.is_some() => {
                    serving.flush = None;
                    written.map_err(|noticed| serving.why(noticed))?;
                }
                delivery = serving.channel.next(), if takes => {
                    let since = clock.now();
                    self.take(serving, delivery?).await?;
                    self.take_what_is_there(serving, since).await?;
                }
                () = due(&mut serving.flush_due), if serving.flush_due.is_some() && serving.flush.is_none() => {
                    serving.start_flush();
                }
                () = due(&mut serving.widen_due), if serving.widen_due.is_some() && self.runs.is_empty() => self.widen(serving).await?,
                () = due(&mut serving.beside_due), if takes && serving.beside_due.is_some() => self.beside(serving).await?,
                () = serving.phase.over() => serving.phase = Phase::Finishing,
                () = &mut serving.tick => {
                    serving.tick = clock.sleep(TICK);
                    self.sign.ticked(clock.now());
                    if !serving.channel.is_open() {
                        return Err(serving.why(TransportError::lost("the channel is gone")));
                    }
                }
            }
            self.consider_flush(serving).await?;
        }
        Ok(())
    }

    /// Starts to work on a delivery; there is none when all that was sent ahead is taken.
    async fn take(&mut self, serving: &mut Serving, delivery: Option<Delivery>) -> Result<(), TransportError> {
        let Some(delivery) = delivery else {
            serving.phase = Phase::Finishing;
            return Ok(());
        };
        let (is_new, deaths) = (!delivery.redelivered, unanswered(&delivery));
        (serving.latest, serving.beside_due) = (delivery.tag, None);
        let ended = self.start(delivery, &serving.gone).await;
        if serving.widen_due.is_some() {
            if is_new {
                self.widen(serving).await?;
            } else if serving.is_careful && deaths < LIKELY && ended.is_none() {
                // One death has many causes, and slow handlers should not make their queue wait for it.
                serving.beside_due = Some(self.worker.clock.sleep(PATIENCE));
            }
        }
        if let Some(ended) = ended {
            self.ended(serving, &ended);
        }
        Ok(())
    }

    /// Takes what has come together with a delivery, without a look at all else for each. Of handlers that take their time and
    /// never wait it is one.
    async fn take_what_is_there(&mut self, serving: &mut Serving, since: SystemTime) -> Result<(), TransportError> {
        for _ in 1..FLUSH_AT {
            let lasts = self.worker.clock.now().duration_since(since).is_ok_and(|lasted| lasted < SLICE);
            let has_room = self.runs.len() < self.concurrency && serving.settler.unacknowledged() < self.flush_at();
            if !lasts || !has_room || !serving.phase.begins() {
                break;
            }
            let Some(delivery) = serving.channel.next().now_or_never() else { break };
            self.take(serving, delivery?).await?;
        }
        Ok(())
    }

    /// Begins to work on a delivery. Most handlers end without having waited: such a run needs no place among those in hand,
    /// and the next one has its memory.
    async fn start(&mut self, delivery: Delivery, gone: &Arc<CancellationToken>) -> Option<Ended> {
        self.sign.delivered(self.worker.clock.now());
        let (worker, gone, generation) = (Arc::clone(&self.worker), Arc::clone(gone), self.generation);
        let run = async move {
            let safe = worker.handle(&delivery, &gone, generation - 1).await;
            Ended { generation, tag: delivery.tag, safe }
        };
        let mut run = match self.spare.take() {
            Some(mut spare) => {
                spare.set(run);
                spare
            }
            None => ReusableBoxFuture::new(run),
        };
        // A handler that holds the thread is one in hand.
        self.sign.works_on(self.runs.len() + 1);
        let ended = poll_immediate(&mut run).await;
        match ended {
            Some(_) => self.spare = Some(run),
            None => self.runs.push(run),
        }
        ended
    }

    /// How many finished deliveries are acknowledged at once: a quarter of what the broker sends ahead at most, so that it need
    /// not stop sending.
    fn flush_at(&self) -> usize {
        FLUSH_AT.min(usize::from(self.prefetch) / 4).max(1)
    }

    fn ended(&self, serving: &mut Serving, ended: &Ended) {
        self.sign.works_on(self.runs.len());
        if ended.tag == serving.latest {
            // The broker sends the next one for it.
            serving.beside_due = None;
        }
        // Only from now on can no delivery mean that there is none: at a prefetch of 1 none comes while one runs.
        if serving.widen_due.is_some() {
            serving.widen_due = Some(self.worker.clock.sleep(QUIET));
        }
        ended.settle(self.generation, &mut serving.settler);
        serving.finished.get_or_insert_with(|| self.worker.clock.now());
    }

    /// Has the broker send one more beside what is in hand, and no other for those that end meanwhile: so what is beside
    /// the one that kills has died once at most, and next time it is the one that is alone.
    async fn beside(&mut self, serving: &mut Serving) -> Result<(), TransportError> {
        serving.beside_due = None;
        let one_more = serving.channel.consume(1);
        let asked = self.meanwhile(one_more, &mut serving.settler).await;
        if self.runs.is_empty() {
            serving.widen_due = Some(self.worker.clock.sleep(QUIET));
        }
        asked
    }

    /// Has the broker send as many ahead as it may.
    async fn widen(&mut self, serving: &mut Serving) -> Result<(), TransportError> {
        (serving.widen_due, serving.beside_due) = (None, None);
        let prefetch = self.prefetch;
        let widening = serving.channel.consume(prefetch);
        self.meanwhile(widening, &mut serving.settler).await
    }

    /// Has the broker send no more.
    async fn stop_receiving(&mut self, serving: &mut Serving) -> Result<(), TransportError> {
        self.sign.life().enter(Lifecycle::Draining);
        (serving.widen_due, serving.beside_due) = (None, None);
        // The second half of the grace is for what is begun at the end of the first.
        serving.phase = Phase::Draining(self.worker.clock.sleep(self.grace / 2));
        let written = serving.flush.take();
        let stopping = async {
            // So that the answer proves it.
            if let Some(flush) = written {
                flush.await?;
            }
            serving.channel.stop().await
        };
        let cut = self.cut.clone();
        tokio::select! {
            biased;
            () = cut.cancelled() => Ok(()),
            stopped = self.meanwhile(stopping, &mut serving.settler) => stopped,
        }
    }

    /// What the broker answers. What runs goes on meanwhile.
    async fn meanwhile(
        &mut self,
        asking: impl Future<Output = Result<(), TransportError>>,
        settler: &mut Settler,
    ) -> Result<(), TransportError> {
        let mut asking = std::pin::pin!(asking);
        let clock = Arc::clone(&self.worker.clock);
        let mut tick = clock.sleep(TICK);
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return answer,
                Some(ended) = self.runs.next(), if !self.runs.is_empty() => {
                    self.sign.works_on(self.runs.len());
                    ended.settle(self.generation, settler);
                }
                () = &mut tick => {
                    tick = clock.sleep(TICK);
                    self.sign.ticked(clock.now());
                }
            }
        }
    }

    /// Acknowledges when enough is finished or nothing else is to do, and else sets a time for it.
    async fn consider_flush(&mut self, serving: &mut Serving) -> Result<(), TransportError> {
        if serving.flush.is_some() || serving.settler.unacknowledged() == 0 {
            return Ok(());
        }
        let waited = serving.finished.and_then(|since| self.worker.clock.now().duration_since(since).ok());
        // Where there is always a next delivery, no timer has its turn.
        if serving.settler.unacknowledged() >= self.flush_at() || waited > Some(FLUSH_AFTER) {
            serving.start_flush();
        } else if self.runs.is_empty() {
            let waiting = if serving.phase.begins() { serving.channel.next().now_or_never() } else { None };
            match waiting {
                Some(delivery) => self.take(serving, delivery?).await?,
                // The pipeline has run dry.
                None => serving.start_flush(),
            }
        } else if serving.flush_due.is_none() {
            serving.flush_due = Some(self.worker.clock.sleep(FLUSH_AFTER));
        }
        Ok(())
    }

    /// Acknowledges what is finished and closes; the broker's answers prove that it took all.
    async fn goodbye(&mut self, mut serving: Serving) -> Result<Stopped, TransportError> {
        let cut_off = self.runs.len();
        self.runs.clear();
        let receives = serving.phase.receives();
        let acknowledged = async {
            if let Some(flush) = serving.flush.take() {
                flush.await?;
            }
            let acks = serving.settler.flush();
            serving.unproven += acks.len();
            serving.channel.settle(acks).await?;
            if receives {
                // Cut off before the broker was told. Its answer proves that it took them all.
                serving.channel.stop().await?;
            } else if serving.unproven > UNPROVEN && self.exclusive.is_none() {
                // The queue of a broadcast went with its consumer.
                serving.channel.prove().await?;
            }
            serving.channel.close().await
        };
        if let Err(reason) = acknowledged.await {
            tracing::warn!(
                queue = &*self.worker.queue,
                %reason,
                "lost the channel while stopping; what was finished last may come again"
            );
        }
        Ok(Stopped { cut_off })
    }
}

impl Serving {
    /// The channel's own word on its end is better than what was noticed of it first.
    fn why(&mut self, noticed: TransportError) -> TransportError {
        match self.channel.next().now_or_never() {
            Some(Err(reason)) => reason,
            Some(Ok(_)) | None => noticed,
        }
    }

    fn start_flush(&mut self) {
        (self.flush_due, self.finished) = (None, None);
        let acks = self.settler.flush();
        if !acks.is_empty() {
            if !self.phase.receives() {
                self.unproven += acks.len();
            }
            self.flush = Some(self.channel.settle(acks));
        }
    }
}

impl Phase {
    fn receives(&self) -> bool {
        matches!(self, Self::Receiving)
    }

    fn begins(&self) -> bool {
        !matches!(self, Self::Finishing)
    }

    /// Waits until nothing more is to be begun, for ever in the other phases.
    async fn over(&mut self) {
        match self {
            Self::Draining(until) => until.await,
            Self::Receiving | Self::Finishing => std::future::pending().await,
        }
    }
}

/// Waits for a future that is there, for ever if it is not.
async fn due<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
