//! What consumes one queue: subscribing again and again, running handlers in place, acknowledging.

mod channel;
mod follow;
mod settle;
mod sign;
mod tell;
mod worker;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::{CancellationToken, ReusableBoxFuture};

use crate::{
    topology::Binding,
    transport::{
        Backoff, Connection, ConsumeChannel, Lifecycle, Link, Loss, NOT_FOUND, PRECONDITION_FAILED, TransportError,
    },
};

pub(crate) use settle::Settler;
pub(crate) use sign::{Sign, Stuck};
pub(crate) use worker::Worker;

/// How often a consumer's task shows that it is at work.
const TICK: Duration = Duration::from_secs(1);
/// A channel that lived this long was well.
const LIVES: Duration = Duration::from_secs(5);

/// The task of one subscription.
pub(crate) struct Consumer {
    pub(crate) worker: Arc<Worker>,
    pub(crate) link: Arc<Link>,
    /// How many deliveries it works on at a time.
    pub(crate) concurrency: usize,
    /// How many deliveries the broker sends ahead, once that is known to be safe.
    pub(crate) prefetch: u16,
    /// The bindings of the queue that each connection of a broadcast subscription has for itself.
    pub(crate) exclusive: Option<Vec<Binding>>,
    /// How long what is in hand may take once the service stops.
    pub(crate) grace: Duration,
    /// Take no more deliveries, finish what is in hand.
    pub(crate) stopping: CancellationToken,
    /// Finish nothing more.
    pub(crate) cut: CancellationToken,
    pub(crate) sign: Sign,
    /// The runs in hand. They outlive their channel: a handler that has begun is not cut off by a lost connection.
    pub(crate) runs: Runs,
    /// A run that has ended, whose memory the next one takes.
    pub(crate) spare: Option<Run>,
    /// Counts the channels, so that a run's tag is not taken for another channel's.
    pub(crate) generation: u64,
}

/// The work on one delivery.
pub(crate) type Run = ReusableBoxFuture<'static, Ended>;

/// The runs in hand of a subscription.
pub(crate) type Runs = FuturesUnordered<Run>;

/// A run that has ended.
pub(crate) struct Ended {
    generation: u64,
    tag: u64,
    /// Whether its effects are safe.
    safe: bool,
}

impl Ended {
    /// Has its delivery acknowledged, if it came by this channel: a tag means nothing on another.
    fn settle(&self, generation: u64, settler: &mut Settler) {
        if self.generation == generation && self.safe {
            settler.finish(self.tag);
        }
    }
}

/// Why a consumer's task came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// How many runs were cut off. Their events come again.
    pub(crate) cut_off: usize,
}

impl Consumer {
    /// Consumes until it is told to stop; whatever is lost on the way is subscribed again.
    pub(crate) async fn run(mut self) -> Stopped {
        // In a new process the broker sends one at a time until that is known to be safe: the message that ended the last
        // process would count as delivered together with all that were sent ahead.
        let mut prefetch = 1.min(self.prefetch);
        let (mut backoff, mut wait, mut loss) = (Backoff::default(), Duration::ZERO, Loss::Own);
        let stopped = loop {
            let Some(subscribed) = self.subscribe(prefetch, wait).await else { break self.finish().await };
            self.sign.life().running(loss, None);
            let since = self.worker.clock.now();
            match self.serve(subscribed.channel, prefetch).await {
                Ok(stopped) => break stopped,
                Err(reason) => {
                    // A lost connection tells of itself, once for all of its subscriptions.
                    loss = if subscribed.connection.is_open() { Loss::Own } else { Loss::Followed };
                    self.sign.life().lost(&reason, loss);
                    self.explain(&reason);
                }
            }
            // What comes up and dies at once must not do so without a pause.
            if self.worker.clock.now().duration_since(since).is_ok_and(|lived| lived > LIVES) {
                backoff = Backoff::default();
            }
            wait = backoff.next();
            prefetch = u16::try_from(self.concurrency).unwrap_or(u16::MAX).min(self.prefetch);
        };
        self.sign.life().enter(Lifecycle::Closed);
        stopped
    }

    /// Says what to do about a loss that will repeat itself.
    fn explain(&self, reason: &TransportError) {
        // "delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. …"
        if let TransportError::Refused { code: PRECONDITION_FAILED, text } = reason
            && text.contains("delivery acknowledgement")
        {
            tracing::error!(
                service = self.worker.service,
                handler = self.worker.handler,
                queue = &*self.worker.queue,
                running = self.runs.len(),
                timeout = ?self.worker.timeout,
                %reason,
                "a handler ran longer than RabbitMQ waits for an acknowledgement, and all events of its channel come again: set the subscription's `timeout` below that, or raise RabbitMQ's `consumer_timeout`"
            );
        }
    }

    /// A channel that consumes; `None` when stopped before. What runs goes on meanwhile.
    async fn subscribe(&mut self, prefetch: u16, wait: Duration) -> Option<Subscribed> {
        let (link, exclusive) = (Arc::clone(&self.link), self.exclusive.clone());
        let (worker, sign) = (Arc::clone(&self.worker), self.sign.clone());
        let subscribing = async move {
            worker.clock.sleep(wait).await;
            let mut backoff = Backoff::default();
            loop {
                let error = match attempt(&link, &worker.queue, exclusive.as_deref(), prefetch, &sign).await {
                    Ok(subscribed) => return subscribed,
                    Err(error) => error,
                };
                sign.life().failed(&error);
                let wait = backoff.next();
                if backoff.is_worth_a_line() {
                    tracing::warn!(
                        service = worker.service,
                        handler = worker.handler,
                        queue = &*worker.queue,
                        tries = backoff.tries(),
                        %error,
                        "cannot subscribe; trying again for as long as it takes"
                    );
                }
                worker.clock.sleep(wait).await;
            }
        };
        let mut subscribing = std::pin::pin!(subscribing);
        let clock = Arc::clone(&self.worker.clock);
        let mut tick = clock.sleep(TICK);
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                subscribed = &mut subscribing => return Some(subscribed),
                // Their channel is gone, and with it their tags.
                Some(_) = self.runs.next(), if !self.runs.is_empty() => self.sign.works_on(self.runs.len()),
                () = &mut tick => {
                    self.sign.ticked(clock.now());
                    tick = clock.sleep(TICK);
                }
            }
        }
    }

    /// Stopped while not subscribed: waits for what runs.
    async fn finish(&mut self) -> Stopped {
        self.sign.life().enter(Lifecycle::Draining);
        while !self.runs.is_empty() {
            tokio::select! {
                biased;
                () = self.cut.cancelled() => break,
                Some(_) = self.runs.next() => self.sign.works_on(self.runs.len()),
            }
        }
        let cut_off = self.runs.len();
        self.runs.clear();
        Stopped { cut_off }
    }
}

/// A task that ends without being told to is shown as such.
impl Drop for Consumer {
    fn drop(&mut self) {
        self.sign.life().enter(Lifecycle::Closed);
    }
}

/// A channel that consumes, and its connection.
struct Subscribed {
    connection: Arc<dyn Connection>,
    channel: Box<dyn ConsumeChannel>,
}

async fn attempt(
    link: &Arc<Link>,
    queue: &str,
    exclusive: Option<&[Binding]>,
    prefetch: u16,
    sign: &Sign,
) -> Result<Subscribed, TransportError> {
    let connection = link.connection().await;
    let queue = match exclusive {
        Some(bindings) => {
            sign.life().enter(Lifecycle::Declaring);
            let queue = connection.declare_exclusive(bindings).await?;
            sign.consumes(&queue);
            queue
        }
        None => queue.to_owned(),
    };
    let mut channel = connection.consume_channel(queue.clone()).await?;
    match channel.consume(prefetch).await {
        Ok(()) => {}
        Err(TransportError::Refused { code: NOT_FOUND, .. }) if connection.is_open() => {
            // Somebody deleted the queue. What else of the plan is gone?
            tracing::warn!(queue, "a queue is gone; declaring all that the service needs again");
            sign.life().enter(Lifecycle::Declaring);
            link.declare_again(&*connection).await?;
            channel = connection.consume_channel(queue).await?;
            channel.consume(prefetch).await?;
        }
        Err(error) => return Err(error),
    }
    Ok(Subscribed { connection, channel })
}
