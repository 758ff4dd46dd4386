//! The wire between the services of a test and their broker: it sees all that passes, and breaks what it is told to break.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::log::Log;
use crate::{
    time::Clock,
    topology::{Binding, Topology, TopologyMode},
    transport::{
        Confirm, Confirmed, Connection, ConnectionState, ConsumeChannel, Delivery, Message, PublishChannel, Settlement,
        Transport, TransportError, Usage,
    },
};

/// A transport that leads to another, and tells a [`Log`] of what passes.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) inner: Arc<dyn Transport>,
    pub(super) log: Arc<Log>,
}

impl Transport for Wire {
    fn address(&self) -> String {
        self.inner.address()
    }

    fn connect<'a>(
        &'a self,
        name: &'a str,
        clock: &'a Arc<dyn Clock>,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, TransportError>> {
        Box::pin(async move {
            let inner = self.inner.connect(name, clock).await?;
            let connection = Wired { inner, log: Arc::clone(&self.log), cuts: self.log.faults.cuts.subscribe() };
            Ok(Arc::new(connection) as Arc<dyn Connection>)
        })
    }
}

/// A connection. When it is cut, whatever it still has is lost: nothing more passes, either way.
struct Wired {
    inner: Arc<dyn Connection>,
    log: Arc<Log>,
    /// Changes when the test cuts all connections that there are.
    cuts: watch::Receiver<u64>,
}

const CUT: &str = "the test cut the connection";

impl Wired {
    fn is_cut(&self) -> bool {
        // The sender lives in the log.
        self.cuts.has_changed().unwrap_or(false)
    }
}

impl Connection for Wired {
    fn node(&self) -> String {
        self.inner.node()
    }

    fn state(&self) -> ConnectionState {
        if self.is_cut() { ConnectionState::Lost(CUT.to_owned()) } else { self.inner.state() }
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        let (lost, mut cuts) = (self.inner.lost(), self.cuts.clone());
        Box::pin(async move {
            tokio::select! {
                () = lost => {}
                _ = cuts.changed() => {}
            }
        })
    }

    fn unblocked(&self) -> BoxFuture<'static, ()> {
        let (unblocked, lost) = (self.inner.unblocked(), self.lost());
        Box::pin(async move {
            tokio::select! {
                () = unblocked => {}
                () = lost => {}
            }
        })
    }

    fn frame_max(&self) -> usize {
        self.inner.frame_max()
    }

    fn declare<'a>(&'a self, topology: &'a Topology, mode: TopologyMode) -> BoxFuture<'a, Result<(), TransportError>> {
        self.inner.declare(topology, mode)
    }

    fn declare_exclusive<'a>(&'a self, bindings: &'a [Binding]) -> BoxFuture<'a, Result<String, TransportError>> {
        self.inner.declare_exclusive(bindings)
    }

    fn unbind<'a>(&'a self, binding: &'a Binding) -> BoxFuture<'a, Result<(), TransportError>> {
        self.inner.unbind(binding)
    }

    fn delete_queue<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        self.inner.delete_queue(queue)
    }

    fn delete_exchange<'a>(&'a self, exchange: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        self.inner.delete_exchange(exchange)
    }

    fn usage<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Usage, TransportError>> {
        self.inner.usage(queue)
    }

    fn publish_channel(&self) -> BoxFuture<'_, Result<Box<dyn PublishChannel>, TransportError>> {
        Box::pin(async move {
            let inner = self.inner.publish_channel().await?;
            let channel = Publishing { inner, log: Arc::clone(&self.log), cuts: self.cuts.clone() };
            Ok(Box::new(channel) as Box<dyn PublishChannel>)
        })
    }

    fn consume_channel(&self, queue: String) -> BoxFuture<'_, Result<Box<dyn ConsumeChannel>, TransportError>> {
        Box::pin(async move {
            let channel = Consuming {
                inner: self.inner.consume_channel(queue.clone()).await?,
                queue,
                hand: Arc::new(Hand { log: Arc::clone(&self.log), tags: Mutex::default() }),
                cut: Arc::new(AtomicBool::new(false)),
                lost: self.lost(),
            };
            Ok(Box::new(channel) as Box<dyn ConsumeChannel>)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

struct Publishing {
    inner: Box<dyn PublishChannel>,
    log: Arc<Log>,
    cuts: watch::Receiver<u64>,
}

impl PublishChannel for Publishing {
    fn write<'a>(&'a mut self, batch: Vec<(&'a Message, bool)>) -> BoxFuture<'a, Vec<Result<Confirm, TransportError>>> {
        Box::pin(async move {
            if self.cuts.has_changed().unwrap_or(false) {
                return batch.iter().map(|_| Err(TransportError::lost(CUT))).collect();
            }
            let messages: Vec<Message> = batch.iter().map(|(message, _)| (*message).clone()).collect();
            let written = self.inner.write(batch).await;
            let watch = |(message, written): (Message, Result<Confirm, TransportError>)| {
                let (log, mut cuts) = (Arc::clone(&self.log), self.cuts.clone());
                let pending = Pending::new(Arc::clone(&log));
                written.map(|confirm| {
                    Confirm::later(async move {
                        let _pending = pending;
                        let answer = tokio::select! {
                            biased;
                            _ = cuts.changed() => return Err(TransportError::lost(CUT)),
                            answer = confirm => answer?,
                        };
                        if log.faults.fails_confirm() {
                            log.say(
                                message.properties.message_id.as_deref(),
                                "the test turned its confirm into a nack",
                            );
                            return Ok((Confirmed::Nack, answer.1));
                        }
                        log.answered(&message, &answer);
                        Ok(answer)
                    })
                })
            };
            messages.into_iter().zip(written).map(watch).collect()
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>> {
        self.inner.close()
    }
}

/// A message whose confirm is awaited.
struct Pending(Arc<Log>);

impl Pending {
    fn new(log: Arc<Log>) -> Self {
        log.unconfirmed.fetch_add(1, Ordering::Relaxed);
        Self(log)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.unconfirmed.fetch_sub(1, Ordering::Relaxed);
        self.0.changed();
    }
}

struct Consuming {
    inner: Box<dyn ConsumeChannel>,
    queue: String,
    hand: Arc<Hand>,
    /// Whether the test had the process "crash" before it could acknowledge.
    cut: Arc<AtomicBool>,
    lost: BoxFuture<'static, ()>,
}

/// The deliveries of a channel that are not settled: the id of each by its tag.
struct Hand {
    log: Arc<Log>,
    tags: Mutex<BTreeMap<u64, Option<String>>>,
}

impl Hand {
    fn tags(&self) -> MutexGuard<'_, BTreeMap<u64, Option<String>>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, queue: &str, delivery: &Delivery) {
        let id = delivery.message.properties.message_id.clone();
        self.tags().insert(delivery.tag, id.as_ref().map(ToString::to_string));
        self.log.in_hand.fetch_add(1, Ordering::Relaxed);
        self.log.delivered(queue, delivery);
    }

    /// The same settlements, but that the last delivery that they acknowledge goes back to its queue.
    fn last_given_back(&self, settlements: Vec<Settlement>) -> Vec<Settlement> {
        let tags = self.tags();
        let mut single = Vec::new();
        for settlement in settlements {
            match settlement {
                Settlement::AckUpTo(up_to) => single.extend(tags.range(..=up_to).map(|(tag, _)| Settlement::Ack(*tag))),
                other => single.push(other),
            }
        }
        if let Some(last) = single.iter_mut().rfind(|settlement| matches!(settlement, Settlement::Ack(_)))
            && let Settlement::Ack(tag) = *last
        {
            *last = Settlement::Requeue(tag);
        }
        single
    }

    fn settle(&self, settlement: Settlement) {
        let mut tags = self.tags();
        let settled: Vec<Option<String>> = match settlement {
            Settlement::AckUpTo(tag) => {
                let rest = tags.split_off(&tag.saturating_add(1));
                std::mem::replace(&mut *tags, rest).into_values().collect()
            }
            Settlement::Ack(tag) | Settlement::Requeue(tag) | Settlement::Reject(tag) => {
                tags.remove(&tag).into_iter().collect()
            }
        };
        drop(tags);
        self.log.let_go(&settled);
    }
}

/// Whatever it had comes again.
impl Drop for Hand {
    fn drop(&mut self) {
        let rest = std::mem::take(&mut *self.tags());
        let rest: Vec<Option<String>> = rest.into_values().collect();
        self.log.let_go(&rest);
    }
}

impl ConsumeChannel for Consuming {
    fn consume(&mut self, prefetch: u16) -> BoxFuture<'_, Result<(), TransportError>> {
        self.inner.consume(prefetch)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Delivery>, TransportError>> {
        if self.cut.load(Ordering::Relaxed) || self.lost.as_mut().poll(context).is_ready() {
            // A future that has ended must not be polled again.
            self.cut.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(TransportError::lost(CUT)));
        }
        let next = ready!(self.inner.poll_next(context));
        if let Ok(Some(delivery)) = &next {
            self.hand.take(&self.queue, delivery);
        }
        Poll::Ready(next)
    }

    fn settle(&self, settlements: Vec<Settlement>) -> BoxFuture<'static, Result<(), TransportError>> {
        let faults = &self.hand.log.faults;
        if faults.crashes(&self.queue) {
            self.hand.log.say(None, &format!("the test ended the consumer of {} before it acknowledged", self.queue));
            self.cut.store(true, Ordering::Relaxed);
            return Box::pin(std::future::ready(Err(TransportError::lost(CUT))));
        }
        let mut settlements = settlements;
        if faults.delivers_twice(&self.queue) {
            self.hand.log.say(None, &format!("the test had {} get an event a second time", self.queue));
            settlements = self.hand.last_given_back(settlements);
        }
        let (written, hand) = (self.inner.settle(settlements.clone()), Arc::clone(&self.hand));
        Box::pin(async move {
            written.await?;
            settlements.into_iter().for_each(|settlement| hand.settle(settlement));
            Ok(())
        })
    }

    fn is_open(&self) -> bool {
        !self.cut.load(Ordering::Relaxed) && self.inner.is_open()
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), TransportError>> {
        self.inner.stop()
    }

    fn prove(&self) -> BoxFuture<'_, Result<(), TransportError>> {
        self.inner.prove()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>> {
        self.inner.close()
    }
}
