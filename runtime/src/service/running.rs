//! A service that runs, and how it ends.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::Mutex, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    BuiltService, ConnectionHealth, Health, UndeclaredEvent,
    policies::{self, Seen, Sight},
    signal::Signals,
    watch::{Counted, Dog, Watch},
    watched::{Count, Watched, last_error},
};
use crate::{
    consumer::{Consumer, Stopped, Worker},
    event::{EventSet, Events},
    publisher::{Outgoing, Pipeline, Publisher},
    time::Clock,
    topology::undeliverable,
    transport::{ConnectionState, Lifecycle, Link, TransportError},
};

/// A running service.
///
/// Keep it as long as the service shall run: dropping it cuts the service off at once, as a crash would. Nothing is lost by
/// that, but handlers in hand run again. [`shutdown`](Self::shutdown) ends it well.
pub struct Running {
    pub(super) parts: Parts,
}

/// What a running service is made of.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) grace: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) outgoing: Arc<Outgoing>,
    declared: Vec<Events>,
    pub(super) publishing: Arc<Link>,
    pub(super) consuming: Option<Arc<Link>>,
    unrouted: Arc<AtomicU64>,
    undeliverable: Arc<Count>,
    dead_letter_limit: u64,
    /// What policies do to its queues.
    policies: Seen,
    pub(super) subscriptions: Vec<Arc<Watched>>,
    /// Begins the shutdown: consumers take no more deliveries.
    pub(super) stopping: CancellationToken,
    /// Ends it: consumers finish nothing more.
    pub(super) cut: CancellationToken,
    /// Cancelled when the consumers have ended: the publisher finishes what it has.
    pub(super) closing: CancellationToken,
    pub(super) tasks: Mutex<Tasks>,
}

#[derive(Default)]
pub(super) struct Tasks {
    pub(super) consumers: Vec<(String, JoinHandle<Stopped>)>,
    pub(super) publisher: Option<JoinHandle<()>>,
}

impl Parts {
    pub(super) fn new(built: &BuiltService, publishing: Arc<Link>, consuming: Option<Arc<Link>>) -> Self {
        Self {
            name: built.name.clone(),
            grace: built.grace,
            clock: Arc::clone(&built.clock),
            outgoing: Arc::clone(&built.outgoing),
            declared: built.declared.clone(),
            publishing,
            consuming,
            unrouted: Arc::clone(&built.unrouted_count),
            undeliverable: Arc::default(),
            dead_letter_limit: built.dead_letter_limit,
            policies: Seen::default(),
            subscriptions: Vec::new(),
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
            closing: CancellationToken::new(),
            tasks: Mutex::default(),
        }
    }

    pub(super) fn publish(&mut self, closing: CancellationToken, pipeline: Pipeline) {
        self.closing = closing;
        let task = watched(pipeline.run(), "publishing".to_owned(), self.stopping.clone());
        self.tasks.get_mut().publisher = Some(tokio::spawn(task));
    }

    /// Has policies looked after until the service stops.
    pub(super) fn watch_policies(&self, built: &BuiltService) {
        if let Some(watch) = policies::Watch::of(built, self.policies.clone(), self.stopping.clone()) {
            tokio::spawn(watched(watch.run(), "policies".to_owned(), self.stopping.clone()));
        }
    }

    /// Begins to consume; `foreign` says whether the queue is one that others made.
    pub(super) fn consume(&mut self, worker: &Worker, consumer: Consumer, foreign: bool) {
        self.subscriptions.push(Arc::new(Watched {
            handler: worker.handler.clone(),
            queue: Arc::clone(&worker.queue),
            foreign,
            concurrency: consumer.concurrency,
            sign: consumer.sign.clone(),
            stuck: worker.stuck.clone(),
            dead: Arc::default(),
            held: AtomicBool::new(false),
        }));
        let task = watched(consumer.run(), worker.handler.clone(), self.stopping.clone());
        self.tasks.get_mut().consumers.push((worker.handler.clone(), tokio::spawn(task)));
    }

    /// How the connection that publishes is, and its channel.
    fn publishing(&self) -> ConnectionHealth {
        let mut health = connection(&self.publishing);
        if health.state == Lifecycle::Running
            && let Some(shown) = self.outgoing.window.interruption()
        {
            (health.state, health.since, health.last_error) = (shown.state, shown.since, last_error(&shown));
        }
        health
    }

    /// Begins to watch what was begun; `parks` says whether the plan has a queue for what cannot be delivered.
    pub(super) fn watch(&self, parks: bool) {
        let now = self.clock.now();
        let watch = Watch {
            service: self.name.clone(),
            clock: Arc::clone(&self.clock),
            publishing: Arc::clone(&self.publishing),
            blocked: None,
            link: Arc::clone(self.consuming.as_ref().unwrap_or(&self.publishing)),
            subscriptions: self.subscriptions.iter().map(|watched| Dog::new(watched, now)).collect(),
            undeliverable: parks.then(|| Counted::new(undeliverable(), &self.undeliverable)),
            limit: self.dead_letter_limit,
            stopping: self.stopping.clone(),
        };
        tokio::spawn(watched(watch.run(), "watching".to_owned(), self.stopping.clone()));
    }
}

/// How a connection is. It may be gone before its next user finds out.
fn connection(link: &Link) -> ConnectionHealth {
    let (shown, newest) = (link.life(), link.newest());
    let last_error = last_error(&shown);
    let (mut state, mut blocked) = (shown.state, None);
    match newest.as_ref().map(|connection| connection.state()) {
        Some(ConnectionState::Blocked(reason)) => blocked = Some(reason),
        Some(ConnectionState::Lost(_)) | None if state == Lifecycle::Running => state = Lifecycle::Recovering,
        Some(ConnectionState::Lost(_) | ConnectionState::Open) | None => {}
    }
    let node = newest.map(|connection| connection.node());
    ConnectionHealth { state, since: shown.since, node, blocked, last_error }
}

/// A task of ours. Should it panic, the service stops: one that goes on without it would be deaf and look well.
async fn watched<T>(task: impl Future<Output = T>, name: String, stopping: CancellationToken) -> T {
    match AssertUnwindSafe(task).catch_unwind().await {
        Ok(ended) => ended,
        Err(panic) => {
            tracing::error!(
                task = name,
                "a task of the service panicked, which is a bug of rabbitry; stopping the service"
            );
            stopping.cancel();
            std::panic::resume_unwind(panic)
        }
    }
}

impl Running {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// A publisher for events that the service declares with [`Service::publishes`](crate::Service::publishes).
    ///
    /// # Errors
    /// The service does not declare them all.
    pub fn publisher<E: EventSet>(&self) -> Result<Publisher<E>, UndeclaredEvent> {
        let missing: Vec<String> = match E::EVENTS {
            Events::Any if self.parts.declared.iter().any(|events| matches!(events, Events::Any)) => Vec::new(),
            Events::Any => vec!["any event (AnyEvent)".to_owned()],
            Events::Of(events) => {
                let undeclared = events.iter().filter(|event| !self.declares(&event.name));
                undeclared.map(|event| format!("`{}`", event.name)).collect()
            }
        };
        if missing.is_empty() {
            Ok(Publisher::new(Arc::clone(&self.parts.outgoing)))
        } else {
            Err(UndeclaredEvent { service: self.parts.name.clone(), events: missing.join(", ") })
        }
    }

    /// How the service is now.
    #[must_use]
    pub fn health(&self) -> Health {
        let Sight { policies, full } = self.parts.policies.read();
        Health {
            policies,
            full,
            publishing: self.parts.publishing(),
            consuming: self.parts.consuming.as_deref().map(connection),
            subscriptions: self.parts.subscriptions.iter().map(|watched| watched.health()).collect(),
            unrouted: self.parts.unrouted.load(Ordering::Relaxed),
            undeliverable: self.parts.undeliverable.read(),
            dead_letter_limit: self.parts.dead_letter_limit,
            stopping: self.parts.stopping.is_cancelled(),
        }
    }

    /// Ends when the service begins to stop: for whatever runs beside it, an HTTP server's graceful shutdown for example.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.parts.stopping.clone().cancelled_owned()
    }

    /// Begins to stop on SIGTERM or SIGINT; a second signal cuts off at once what is in hand.
    ///
    /// [`stopping`](Self::stopping) then ends; call [`shutdown`](Self::shutdown) to wait for the rest.
    ///
    /// # Errors
    /// The process cannot listen for signals.
    pub fn stop_on_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::listen()?;
        let (stopping, cut, service) = (self.parts.stopping.clone(), self.parts.cut.clone(), self.parts.name.clone());
        tokio::spawn(async move {
            let signal = signals.next().await;
            tracing::info!(service, signal, "stopping");
            stopping.cancel();
            let signal = signals.next().await;
            tracing::warn!(service, signal, "stopping at once");
            cut.cancel();
        });
        Ok(())
    }

    /// Waits until every subscription receives events.
    ///
    /// # Errors
    /// The broker refuses one of them.
    pub(super) async fn consuming(&self) -> Result<(), TransportError> {
        for shown in &self.parts.subscriptions {
            shown.sign.consuming().await?;
        }
        tracing::info!(service = self.parts.name, "started");
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.parts.name
    }

    fn declares(&self, name: &str) -> bool {
        self.parts.declared.iter().any(|events| match events {
            Events::Any => true,
            Events::Of(events) => events.iter().any(|event| event.name == name),
        })
    }
}

/// Cuts everything off: tasks end at their next step.
impl Drop for Running {
    fn drop(&mut self) {
        self.parts.stopping.cancel();
        self.parts.cut.cancel();
        self.parts.closing.cancel();
        if let Some(publisher) = self.parts.tasks.get_mut().publisher.take() {
            publisher.abort();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("service", &self.parts.name)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_stops_the_service() {
        let stopping = CancellationToken::new();
        assert_eq!(watched(async { 1 }, "well".to_owned(), stopping.clone()).await, 1);
        assert!(!stopping.is_cancelled());
        let task = watched(async { panic!("a bug") }, "ill".to_owned(), stopping.clone());
        assert!(tokio::spawn(task).await.is_err());
        assert!(stopping.is_cancelled());
    }
}
