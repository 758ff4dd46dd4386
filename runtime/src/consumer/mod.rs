//! What consumes one queue: subscribing again and again, running handlers in place, acknowledging.

mod channel;
mod follow;
mod settle;
mod sign;
mod tell;
mod worker;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use crate::{
    topology::Binding,
    transport::{Backoff, ConsumeChannel, Link, NOT_FOUND, TransportError},
};

use settle::Settler;
pub(crate) use sign::{ConsumerState, Sign, Stuck};
pub(crate) use worker::Worker;

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
    /// Counts the channels, so that a run's tag is not taken for another channel's.
    pub(crate) generation: u64,
}

/// The runs in hand of a subscription.
pub(crate) type Runs = FuturesUnordered<BoxFuture<'static, Ended>>;

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
        let (mut backoff, mut wait) = (Backoff::default(), Duration::ZERO);
        let stopped = loop {
            let Some(channel) = self.subscribe(prefetch, wait).await else { break self.finish().await };
            let since = self.worker.clock.now();
            match self.serve(channel, prefetch).await {
                Ok(stopped) => break stopped,
                Err(reason) => self.lost(&reason),
            }
            // What comes up and dies at once must not do so without a pause.
            if self.worker.clock.now().duration_since(since).is_ok_and(|lived| lived > LIVES) {
                backoff = Backoff::default();
            }
            wait = backoff.next();
            prefetch = u16::try_from(self.concurrency).unwrap_or(u16::MAX).min(self.prefetch);
        };
        self.sign.show(ConsumerState::Stopped);
        stopped
    }

    fn lost(&self, reason: &TransportError) {
        self.sign.show(ConsumerState::Lost(reason.to_string()));
        tracing::warn!(
            queue = &*self.worker.queue,
            handler = self.worker.handler,
            running = self.runs.len(),
            %reason,
            "a subscription receives nothing; subscribing again"
        );
    }

    /// A channel that consumes; `None` when stopped before. What runs goes on meanwhile.
    async fn subscribe(&mut self, prefetch: u16, wait: Duration) -> Option<Box<dyn ConsumeChannel>> {
        let (link, queue, exclusive) = (Arc::clone(&self.link), self.worker.queue.to_string(), self.exclusive.clone());
        let (worker, sign) = (Arc::clone(&self.worker), self.sign.clone());
        let subscribing = async move {
            worker.clock.sleep(wait).await;
            let mut backoff = Backoff::default();
            loop {
                let error = match attempt(&link, &queue, exclusive.as_deref(), prefetch).await {
                    Ok(channel) => return channel,
                    Err(error) => error,
                };
                sign.show(match &error {
                    TransportError::Lost { .. } => ConsumerState::Lost(error.to_string()),
                    refused => ConsumerState::Refused(refused.clone()),
                });
                let wait = backoff.next();
                if backoff.is_worth_a_line() {
                    tracing::warn!(queue, tries = backoff.tries(), %error, "cannot subscribe; trying again for as long as it takes");
                }
                worker.clock.sleep(wait).await;
            }
        };
        let mut subscribing = std::pin::pin!(subscribing);
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                channel = &mut subscribing => return Some(channel),
                // Their channel is gone, and with it their tags.
                Some(_) = self.runs.next(), if !self.runs.is_empty() => {}
            }
        }
    }

    /// Stopped while not subscribed: waits for what runs.
    async fn finish(&mut self) -> Stopped {
        while !self.runs.is_empty() {
            tokio::select! {
                biased;
                () = self.cut.cancelled() => break,
                Some(_) = self.runs.next() => {}
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
        self.sign.show(ConsumerState::Stopped);
    }
}

async fn attempt(
    link: &Link,
    queue: &str,
    exclusive: Option<&[Binding]>,
    prefetch: u16,
) -> Result<Box<dyn ConsumeChannel>, TransportError> {
    let connection = link.connection().await;
    let queue = match exclusive {
        Some(bindings) => connection.declare_exclusive(bindings).await?,
        None => queue.to_owned(),
    };
    let mut channel = connection.consume_channel(queue.clone()).await?;
    match channel.consume(prefetch).await {
        Ok(()) => Ok(channel),
        Err(TransportError::Refused { code: NOT_FOUND, .. }) if connection.is_open() => {
            // Somebody deleted the queue. What else of the plan is gone?
            link.declare_again(&*connection).await?;
            let mut channel = connection.consume_channel(queue).await?;
            channel.consume(prefetch).await?;
            Ok(channel)
        }
        Err(error) => Err(error),
    }
}
