//! What all connections to one memory broker share: the state, who receives from it, and the task that lets time pass.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::SystemTime,
};

use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};

use super::connection::Open;
use super::state::{ChannelId, ConnectionId, ConsumerId, Effect, Refusal, State};
use crate::{time::Clock, transport::Delivery};

pub(super) struct Shared {
    broker: Mutex<Inner>,
    pub(super) clock: Arc<dyn Clock>,
    /// Told when something may be due earlier than it was.
    due: Arc<Notify>,
    /// How many bytes of bodies it holds before publishers wait; below three quarters of that they go on.
    room: usize,
    /// Whether it holds so much that publishers wait.
    full: watch::Sender<bool>,
    time: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Inner {
    state: State,
    consumers: HashMap<ConsumerId, mpsc::UnboundedSender<Event>>,
    /// Those that were made, as long as they live.
    connections: Vec<Weak<Open>>,
    last_id: u64,
}

/// What a consuming channel is told. At most as many deliveries are under way as it asked for.
#[expect(clippy::large_enum_variant, reason = "nearly all are deliveries")]
pub(super) enum Event {
    Delivered(Delivery),
    /// The broker cancelled the consumer: its queue is gone.
    Cancelled,
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>, room: usize) -> Self {
        Self {
            broker: Mutex::default(),
            clock,
            due: Arc::default(),
            room,
            full: watch::Sender::new(false),
            time: Mutex::default(),
        }
    }

    /// Does something with the state now, and hands out what follows from it, in its order.
    pub(super) fn with<T>(&self, ask: impl FnOnce(&mut State, SystemTime) -> T) -> T {
        let now = self.clock.now();
        let mut inner = self.lock();
        let before = inner.state.next_due();
        let answer = ask(&mut inner.state, now);
        inner.hand_out();
        let (after, bytes) = (inner.state.next_due(), inner.state.bytes());
        drop(inner);
        if after != before {
            self.due.notify_one();
        }
        let changes = |full: bool| full != if full { bytes > self.room / 4 * 3 } else { bytes >= self.room };
        if changes(self.is_full()) {
            self.full.send_if_modified(|full| {
                let has_changed = changes(*full);
                *full ^= has_changed;
                has_changed
            });
        }
        answer
    }

    /// Begins to consume; what is delivered goes to the sender.
    pub(super) fn consume(
        &self,
        connection: ConnectionId,
        channel: ChannelId,
        queue: &str,
        prefetch: u16,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<ConsumerId, Refusal> {
        let consumer = ConsumerId(self.next_id());
        // Before anything is delivered to it.
        self.lock().consumers.insert(consumer, events);
        let consuming = self.with(|state, now| state.consume(channel, connection, queue, consumer, prefetch, now));
        if consuming.is_err() {
            self.forget(consumer);
        }
        consuming.map(|()| consumer)
    }

    /// Nothing more is delivered to it.
    pub(super) fn cancel(&self, consumer: ConsumerId) {
        self.with(|state, now| state.cancel(consumer, now));
        self.forget(consumer);
    }

    pub(super) fn forget(&self, consumer: ConsumerId) {
        self.lock().consumers.remove(&consumer);
    }

    /// Knows a connection, so that it can be ended with all others.
    pub(super) fn connected(&self, connection: &Arc<Open>) {
        let connections = &mut self.lock().connections;
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
    }

    /// All connections that live.
    #[cfg(feature = "testing")]
    pub(super) fn connections(&self) -> Vec<Arc<Open>> {
        self.lock().connections.iter().filter_map(Weak::upgrade).collect()
    }

    /// A number that nobody else has.
    pub(super) fn next_id(&self) -> u64 {
        let mut inner = self.lock();
        inner.last_id += 1;
        inner.last_id
    }

    pub(super) fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    /// Waits while there is no room for more.
    pub(super) async fn room(&self) {
        // We hold the sender.
        let _ = self.full.subscribe().wait_for(|full| !full).await;
    }

    /// Has what is due happen from now on, as long as the broker lives.
    pub(super) fn let_time_pass(self: &Arc<Self>) {
        let mut time = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        // The runtime that it ran on may have ended.
        if time.as_ref().is_none_or(JoinHandle::is_finished) {
            if time.is_none() {
                tracing::info!(
                    "this is the memory broker: it keeps nothing on disk, and all is gone when the process ends"
                );
            }
            *time = Some(tokio::spawn(pass(Arc::downgrade(self), Arc::clone(&self.due))));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(time) = self.time.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            time.abort();
        }
    }
}

impl Inner {
    fn hand_out(&mut self) {
        for effect in self.state.take_effects() {
            let (consumer, event) = match effect {
                Effect::Deliver { consumer, delivery } => (consumer, Event::Delivered(delivery)),
                Effect::Cancelled { consumer } => (consumer, Event::Cancelled),
            };
            if let Some(events) = self.consumers.get(&consumer) {
                // A channel that is gone gives back what it has when it is closed.
                let _ = events.send(event);
            }
        }
    }
}

/// Has what is due happen at its time.
async fn pass(shared: Weak<Shared>, due: Arc<Notify>) {
    loop {
        // Not held while it waits: the broker ends with its last user.
        let Some(broker) = shared.upgrade() else { return };
        let next = broker.lock().state.next_due();
        let sleep = next.map(|next| {
            let wait = next.duration_since(broker.clock.now()).unwrap_or_default();
            broker.clock.sleep(wait)
        });
        drop(broker);
        let sleep = async {
            match sleep {
                Some(sleep) => sleep.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = due.notified() => {}
            () = sleep => {
                let Some(broker) = shared.upgrade() else { return };
                broker.with(State::advance);
            }
        }
    }
}
