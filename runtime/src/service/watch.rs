//! The watchdog: a task that looks at every subscription from outside. What should receive and does not is said and brought
//! back, whatever the reason; and it counts what nobody handles.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::watched::{Count, Watched};
use crate::{
    time::Clock,
    topology::dead_letter_queue,
    transport::{Connection, ConnectionState, Lifecycle, Link, NOT_FOUND, TransportError, Usage},
};

/// How often it looks at what needs no broker.
const TICK: Duration = Duration::from_secs(1);
/// How long a subscription may be on its way back while its connection works, before that is worth a word.
const OVERDUE: Duration = Duration::from_secs(5);
/// How long a consumer's task may show no sign of life. It shows one each second.
const HELD: Duration = Duration::from_secs(10);
/// How long a subscription may receive nothing before its queue is looked at; doubled each time that bringing it back did
/// not help, up to [`RARELY`].
const QUIET: Duration = Duration::from_secs(10);
const RARELY: Duration = Duration::from_secs(640);
/// How long an answer may take that nobody needs.
const ANSWER: Duration = Duration::from_secs(5);
/// After how many ticks dead letters are counted.
const COUNTS: u32 = 30;
/// After how many counts a queue is looked for again that is not there.
const MISSING: u32 = 20;

/// The watchdog of a service.
pub(super) struct Watch {
    pub(super) service: String,
    pub(super) clock: Arc<dyn Clock>,
    /// The link of those that consume, or the other one where nothing does.
    pub(super) link: Arc<Link>,
    pub(super) publishing: Arc<Link>,
    /// Since when and why the broker takes nothing from publishers.
    pub(super) blocked: Option<(SystemTime, String)>,
    pub(super) subscriptions: Vec<Dog>,
    pub(super) undeliverable: Option<Counted>,
    pub(super) limit: u64,
    pub(super) stopping: CancellationToken,
}

/// What is watched of one subscription.
pub(super) struct Dog {
    watched: Arc<Watched>,
    dead: Counted,
    /// How long its silence is taken for a lack of events.
    patience: Duration,
    /// When its queue was looked at last.
    looked: SystemTime,
    suspicion: Option<Suspicion>,
    /// How often it was found overdue in its present state.
    overdue: u32,
    /// For how many ticks its task showed no sign of life.
    silent: u32,
}

/// When its queue was looked at, and should have given something: what had been delivered last.
#[derive(PartialEq, Eq)]
struct Suspicion(Option<SystemTime>);

/// A queue whose messages nobody handles.
pub(super) struct Counted {
    queue: String,
    count: Arc<Count>,
    /// What was warned of last.
    warned: u64,
    /// For how many counts it is left alone.
    missing: u32,
}

impl Counted {
    pub(super) fn new(queue: String, count: &Arc<Count>) -> Self {
        Self { queue, count: Arc::clone(count), warned: 0, missing: 0 }
    }
}

impl Dog {
    pub(super) fn new(watched: &Arc<Watched>, now: SystemTime) -> Self {
        Self {
            watched: Arc::clone(watched),
            dead: Counted::new(dead_letter_queue(&watched.queue), &watched.dead),
            patience: QUIET,
            looked: now,
            suspicion: None,
            overdue: 0,
            silent: 0,
        }
    }
}

impl Watch {
    /// Watches until the service stops.
    pub(super) async fn run(mut self) {
        let stopping = self.stopping.clone();
        let watching = async {
            for tick in (0..COUNTS).cycle() {
                self.tick(tick == 0).await;
                self.clock.sleep(TICK).await;
            }
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => {}
            () = watching => {}
        }
    }

    async fn tick(&mut self, counts: bool) {
        let now = self.clock.now();
        self.look_for_alarms(now);
        let connection = self.link.live();
        let mut deaf = None;
        for dog in &mut self.subscriptions {
            dog.look_at_the_task(&self.service, now);
            dog.look_at_the_state(&self.service, now, connection.is_some());
            if let Some(connection) = &connection
                && let Some(reason) = dog.look_at_the_queue(&self.service, &**connection, &self.clock, now).await
            {
                deaf = Some(reason);
            }
        }
        let Some(connection) = connection else { return };
        if let Some(reason) = deaf {
            // Its channel may be dead at the broker, with events that only the connection's end gives back.
            self.link.give_up(&connection, &reason).await;
            return;
        }
        if counts {
            let queues = self.subscriptions.iter_mut().map(|dog| &mut dog.dead).chain(&mut self.undeliverable);
            for queue in queues {
                queue.count(&*connection, &self.clock, &self.service, self.limit).await;
            }
        }
    }
}

impl Watch {
    /// A memory or disk alarm is nobody's fault here, but whoever waits for a confirm wants to know.
    fn look_for_alarms(&mut self, now: SystemTime) {
        let state = self.publishing.newest().map(|connection| connection.state());
        match (state, &self.blocked) {
            (Some(ConnectionState::Blocked(reason)), None) => {
                tracing::warn!(service = self.service, reason, "RabbitMQ takes nothing from publishers; they wait");
                self.blocked = Some((now, reason));
            }
            (Some(ConnectionState::Open | ConnectionState::Lost(_)), Some((since, reason))) => {
                let after = now.duration_since(*since).unwrap_or_default();
                tracing::info!(service = self.service, reason, ?after, "RabbitMQ takes from publishers again");
                self.blocked = None;
            }
            _ => {}
        }
    }
}

impl Dog {
    /// A handler that never awaits holds the task, and with it all acknowledgements of its channel.
    fn look_at_the_task(&mut self, service: &str, now: SystemTime) {
        let watched = &*self.watched;
        // Twice, since a clock that jumps passes everybody's time at once.
        self.silent = if watched.sign.silent_for(now) > HELD { self.silent.saturating_add(1) } else { 0 };
        let held = self.silent >= 2 && watched.sign.life().state() != Lifecycle::Closed;
        if held && !watched.held.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                service,
                handler = watched.handler,
                queue = &*watched.queue,
                silent = ?watched.sign.silent_for(now),
                "a subscription's task does not run: a handler holds its thread, and nothing is acknowledged meanwhile; declare it `blocking`, or await in it"
            );
        } else if !held && watched.held.swap(false, Ordering::Relaxed) {
            tracing::info!(
                service,
                handler = watched.handler,
                queue = &*watched.queue,
                "a subscription's task runs again"
            );
        }
    }

    /// Its connection works and it does not: its own task tells why at each try, this tells that it lasts.
    fn look_at_the_state(&mut self, service: &str, now: SystemTime, connected: bool) {
        let watched = &*self.watched;
        let shown = watched.sign.life().read();
        let back = matches!(shown.state, Lifecycle::Running | Lifecycle::Draining | Lifecycle::Closed);
        if back || !connected {
            self.overdue = 0;
            return;
        }
        let since = now.duration_since(shown.since).unwrap_or_default();
        if since > OVERDUE.saturating_mul(1u32.checked_shl(self.overdue).unwrap_or(u32::MAX)) {
            self.overdue = self.overdue.saturating_add(1);
            tracing::warn!(
                service,
                handler = watched.handler,
                queue = &*watched.queue,
                state = %shown.state,
                since = ?since,
                error = shown.last_error.as_ref().map(|(_, error)| tracing::field::display(error)),
                "a subscription receives nothing although its connection works"
            );
        }
    }

    /// It seems to receive. If nothing has come for long, does its queue hold something that should have, or is it gone? Then
    /// the broker has forgotten the consumer, or its channel hangs.
    async fn look_at_the_queue(
        &mut self,
        service: &str,
        connection: &dyn Connection,
        clock: &Arc<dyn Clock>,
        now: SystemTime,
    ) -> Option<TransportError> {
        let watched = &*self.watched;
        let (shown, delivered) = (watched.sign.life().read(), watched.sign.last_delivery());
        if shown.state != Lifecycle::Running || watched.sign.in_flight() > 0 {
            self.suspicion = None;
            return None;
        }
        let last = delivered.map_or(shown.since, |delivered| delivered.max(shown.since));
        if delivered.is_some_and(|delivered| delivered > shown.since) {
            self.patience = QUIET;
        }
        let quiet = |since: SystemTime, limit| now.duration_since(since).is_ok_and(|quiet| quiet >= limit);
        let again = self.suspicion.take();
        if again.is_none() && !(quiet(last, self.patience) && quiet(self.looked, self.patience)) {
            return None;
        }
        self.looked = now;
        let queue = watched.sign.queue();
        let usage = tokio::select! {
            usage = connection.usage(&queue) => usage,
            // It will be looked at again.
            () = clock.sleep(ANSWER) => return None,
        };
        let quiet = now.duration_since(last).unwrap_or_default().as_secs();
        let reason = match &usage {
            // How many consumers it has says nothing: of a queue that is slow to answer, RabbitMQ says that it has none.
            Ok(Usage { ready, consumers }) if *ready > 0 => {
                format!(
                    "queue {queue} holds {ready} messages and has {consumers} consumers, but nothing has come from it for {quiet} s"
                )
            }
            // A cluster does not tell all consumers of a queue's end.
            Err(TransportError::Refused { code: NOT_FOUND, .. }) => {
                format!("queue {queue} is gone, and nothing has come from it for {quiet} s; its consumer was not told")
            }
            Ok(_) | Err(_) => return None,
        };
        if watched.sign.last_delivery() != delivered || watched.sign.in_flight() > 0 {
            return None;
        }
        let suspicion = Suspicion(delivered);
        if again.as_ref() != Some(&suspicion) {
            self.suspicion = Some(suspicion);
            return None;
        }
        let first = self.patience == QUIET;
        self.patience = self.patience.saturating_mul(2).min(RARELY);
        if watched.foreign && usage.is_ok() {
            // A stream, or one whose messages another consumer gets alone: nothing that we could mend.
            if first {
                tracing::warn!(
                    service,
                    handler = watched.handler,
                    reason,
                    "a subscription to a queue of others receives nothing; that is well if the queue has a single active consumer, or is a stream"
                );
            }
            return None;
        }
        Some(TransportError::lost(reason))
    }
}

impl Counted {
    async fn count(&mut self, connection: &dyn Connection, clock: &Arc<dyn Clock>, service: &str, limit: u64) {
        if let Some(left) = self.missing.checked_sub(1) {
            self.missing = left;
            return;
        }
        let usage = tokio::select! {
            usage = connection.usage(&self.queue) => usage,
            () = clock.sleep(ANSWER) => return,
        };
        let count = match usage {
            Ok(usage) => usage.ready,
            Err(error) => {
                // A question that is answered with no costs a channel.
                if matches!(error, TransportError::Refused { code: NOT_FOUND, .. }) {
                    self.missing = MISSING;
                }
                tracing::debug!(queue = self.queue, %error, "cannot count messages");
                self.count.set(None);
                return;
            }
        };
        self.count.set(Some(count));
        // Again when it has doubled, or when it was less in between.
        if count <= limit {
            self.warned = 0;
        } else if count >= self.warned.saturating_mul(2).max(limit.saturating_add(1)) {
            self.warned = count;
            tracing::warn!(
                service,
                queue = self.queue,
                messages = count,
                limit,
                "more messages than the limit that nobody handles: find out why they are there, then replay or remove them"
            );
        }
    }
}
