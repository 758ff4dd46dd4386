//! The life of one consuming channel: deliveries in, runs, acknowledgements out.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::{Consumer, ConsumerState, Ended, Stopped, settle::Settler};
use crate::transport::{Delivery, TransportError, amqp::ConsumeChannel};

/// How many finished deliveries are acknowledged at once, at most.
const FLUSH_AT: usize = 64;
/// How long a finished delivery waits for others at most.
const FLUSH_AFTER: Duration = Duration::from_millis(5);
/// How long no delivery means that there is none to be careful with.
const QUIET: Duration = Duration::from_millis(100);
/// How often a channel is looked at that gives nothing because all hands are full.
const WATCHDOG: Duration = Duration::from_secs(1);

/// What is under way on one channel.
struct Serving {
    channel: ConsumeChannel,
    settler: Settler,
    /// Cancelled when the channel is gone: what waits for its deliveries need wait no longer.
    gone: CancellationToken,
    /// Acknowledgements that are being written. One flush at a time, so that they reach the broker in their order.
    flush: Option<BoxFuture<'static, Result<(), TransportError>>>,
    /// When what is finished is acknowledged, however little it is.
    flush_due: Option<BoxFuture<'static, ()>>,
    /// While the broker sends few ahead: when it may send more.
    widen_due: Option<BoxFuture<'static, ()>>,
    watchdog: BoxFuture<'static, ()>,
}

impl Consumer {
    /// Serves a channel until it is lost or the consumer is stopped.
    pub(super) async fn serve(&mut self, channel: ConsumeChannel, prefetch: u16) -> Result<Stopped, TransportError> {
        self.generation += 1;
        let clock = Arc::clone(&self.worker.clock);
        let gone = CancellationToken::new();
        // Whatever way this ends.
        let _gone = gone.clone().drop_guard();
        let mut serving = Serving {
            channel,
            settler: Settler::default(),
            gone,
            flush: None,
            flush_due: None,
            widen_due: (prefetch < self.prefetch).then(|| clock.sleep(QUIET)),
            watchdog: clock.sleep(WATCHDOG),
        };
        self.sign.show(ConsumerState::Consuming);
        tracing::debug!(queue = &*self.worker.queue, prefetch, "consuming");
        loop {
            let stopping = self.stopping.is_cancelled();
            if stopping && self.runs.is_empty() {
                break;
            }
            let takes = !stopping && self.runs.len() < self.concurrency;
            tokio::select! {
                biased;
                () = self.cut.cancelled() => break,
                Some(ended) = self.runs.next(), if !self.runs.is_empty() => self.ended(&mut serving, &ended),
                written = due(&mut serving.flush), if serving.flush.is_some() => {
                    serving.flush = None;
                    written?;
                }
                delivery = serving.channel.next(), if takes => self.take(&mut serving, delivery?).await?,
                () = due(&mut serving.flush_due), if serving.flush_due.is_some() && serving.flush.is_none() => {
                    serving.start_flush();
                }
                () = due(&mut serving.widen_due), if serving.widen_due.is_some() && self.runs.is_empty() => self.widen(&mut serving).await?,
                () = &mut serving.watchdog => {
                    serving.watchdog = clock.sleep(WATCHDOG);
                    if !serving.channel.is_open() {
                        return Err(TransportError::lost("the channel is gone"));
                    }
                }
                () = self.stopping.cancelled(), if !stopping => {}
            }
            self.consider_flush(&mut serving).await?;
        }
        self.goodbye(serving).await
    }

    /// Starts to work on a delivery.
    async fn take(&mut self, serving: &mut Serving, delivery: Delivery) -> Result<(), TransportError> {
        let is_new = !delivery.redelivered;
        self.start(serving, delivery);
        if serving.widen_due.is_some() && is_new {
            self.widen(serving).await?;
        }
        Ok(())
    }

    fn start(&mut self, serving: &Serving, delivery: Delivery) {
        let (worker, gone, generation) = (Arc::clone(&self.worker), serving.gone.clone(), self.generation);
        self.runs.push(Box::pin(async move {
            let safe = worker.handle(&delivery, &gone).await;
            Ended { generation, tag: delivery.tag, safe }
        }));
    }

    fn ended(&self, serving: &mut Serving, ended: &Ended) {
        // Only from now on can no delivery mean that there is none: at a prefetch of 1 none comes while one runs.
        if serving.widen_due.is_some() {
            serving.widen_due = Some(self.worker.clock.sleep(QUIET));
        }
        ended.settle(self.generation, &mut serving.settler);
    }

    /// Has the broker send as many ahead as it may. What runs goes on meanwhile.
    async fn widen(&mut self, serving: &mut Serving) -> Result<(), TransportError> {
        serving.widen_due = None;
        let (settler, runs, generation) = (&mut serving.settler, &mut self.runs, self.generation);
        let mut widening = std::pin::pin!(serving.channel.consume(self.prefetch));
        loop {
            tokio::select! {
                biased;
                widened = &mut widening => return widened,
                Some(ended) = runs.next(), if !runs.is_empty() => ended.settle(generation, settler),
            }
        }
    }

    /// Acknowledges when enough is finished or nothing else is to do, and else sets a time for it.
    async fn consider_flush(&mut self, serving: &mut Serving) -> Result<(), TransportError> {
        if serving.flush.is_some() || serving.settler.unacknowledged() == 0 {
            return Ok(());
        }
        // A quarter of what the broker sends ahead, so that it need not stop sending.
        if serving.settler.unacknowledged() >= FLUSH_AT.min(usize::from(self.prefetch) / 4).max(1) {
            serving.start_flush();
        } else if self.runs.is_empty() {
            let waiting = if self.stopping.is_cancelled() { None } else { serving.channel.next().now_or_never() };
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
        let acknowledged = async {
            if let Some(flush) = serving.flush.take() {
                flush.await?;
            }
            serving.channel.ack(serving.settler.flush()).await?;
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
    fn start_flush(&mut self) {
        self.flush_due = None;
        let acks = self.settler.flush();
        if !acks.is_empty() {
            self.flush = Some(Box::pin(self.channel.ack(acks)));
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
