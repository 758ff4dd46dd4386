//! A service that is checked and has all it needs, and not yet a connection.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{RunError, Running, StartError, build::BuiltHandler, running::Parts, signal::Signals};
use crate::{
    consumer::{Consumer, Runs, Sign},
    event::Events,
    management::Management,
    publisher::{Jobs, Outgoing, Pipeline, Unrouted},
    time::Clock,
    topology::{Topology, TopologyMode, undeliverable},
    transport::{Link, NOT_FOUND, Subject, Transport, TransportError},
};

/// A service that passed every check that needs no broker: what [`Service::build`](crate::Service::build) gives.
pub struct BuiltService {
    pub(super) name: String,
    pub(super) transport: Arc<dyn Transport>,
    /// The broker's management API, where its URL is given.
    pub(super) management: Option<Arc<Management>>,
    pub(super) topology: Arc<Topology>,
    pub(super) mode: TopologyMode,
    pub(super) unrouted: Unrouted,
    pub(super) unrouted_count: Arc<AtomicU64>,
    pub(super) grace: Duration,
    pub(super) start_timeout: Option<Duration>,
    pub(super) dead_letter_limit: u64,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) jobs: Jobs,
    pub(super) handlers: Vec<BuiltHandler>,
    pub(super) declared: Vec<Events>,
}

impl BuiltService {
    /// What the service needs on the broker.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Creates what the service needs on the broker and ends; see [`Service::declare`](crate::Service::declare).
    ///
    /// # Errors
    /// The broker refuses the service or its plan.
    pub async fn declare(self) -> Result<(), StartError> {
        let link = self.link("declaring", TopologyMode::Declare);
        link.first(false).await.map_err(|error| StartError::new(&self.name, &self.transport.address(), error))?;
        link.close().await;
        Ok(())
    }

    /// Starts the service; see [`Service::start`](crate::Service::start).
    ///
    /// # Errors
    /// The broker refuses the service or its plan, or is not there in time.
    pub async fn start(self) -> Result<Running, StartError> {
        let mut start = Start::of(&self);
        let running = self.begin(&mut start).await?;
        match start.consuming(&running).await {
            Ok(()) => Ok(running),
            Err(error) => {
                // What runs already is finished; what is cut off comes again.
                let _ = running.shutdown().await;
                Err(error)
            }
        }
    }

    /// Connects and starts the tasks.
    async fn begin(self, start: &mut Start) -> Result<Running, StartError> {
        let publishing = Arc::new(self.link("publishing", self.mode));
        let consuming = (!self.handlers.is_empty()).then(|| Arc::new(self.link("consuming", self.mode)));
        if let Err(error) = start.first(&publishing, false).await {
            // One thing that is missing; the management API knows whether it is all.
            if matches!(error, StartError::Refused { code: NOT_FOUND, .. }) {
                self.verify().await?;
            }
            return Err(error);
        }
        if let Err(error) = self.verify().await {
            publishing.close().await;
            return Err(error);
        }
        if let Some(consuming) = &consuming
            && let Err(error) = start.first(consuming, true).await
        {
            publishing.close().await;
            return Err(error);
        }
        let mut parts = Parts::new(&self, Arc::clone(&publishing), consuming.clone());
        parts.watch_policies(&self);
        let closing = CancellationToken::new();
        let pipeline =
            Pipeline::new(self.jobs, publishing, self.unrouted, closing.clone(), self.unrouted_count, &self.outgoing);
        parts.publish(closing, pipeline);
        if let Some(consuming) = consuming {
            for handler in self.handlers {
                let worker = Arc::new(handler.worker);
                let subject = Subject::Subscription {
                    service: worker.service.clone(),
                    handler: worker.handler.clone(),
                    queue: worker.queue.to_string(),
                };
                let sign = Sign::new(subject, Arc::clone(&worker.queue), Arc::clone(&self.clock));
                let consumer = Consumer {
                    worker: Arc::clone(&worker),
                    link: Arc::clone(&consuming),
                    concurrency: handler.concurrency.into(),
                    prefetch: handler.prefetch,
                    exclusive: handler.exclusive,
                    grace: self.grace,
                    stopping: parts.stopping.clone(),
                    cut: parts.cut.clone(),
                    sign,
                    runs: Runs::new(),
                    spare: None,
                    generation: 0,
                };
                parts.consume(&worker, consumer, self.topology.is_foreign(&worker.queue));
            }
        }
        parts.watch(self.topology.queues.iter().any(|queue| queue.name == undeliverable()));
        Ok(Running::new(parts))
    }

    /// Starts the service and serves until a signal; see [`Service::run`](crate::Service::run).
    ///
    /// # Errors
    /// The broker refuses the service or its plan, or handlers were cut off at the end of the grace period.
    pub async fn run(self) -> Result<(), RunError> {
        let mut signals = Signals::listen().map_err(RunError::Signals)?;
        let mut start = Start::of(&self);
        let running = tokio::select! {
            running = self.begin(&mut start) => running?,
            signal = signals.next() => {
                tracing::info!(signal, "stopped before it had started");
                return Ok(());
            }
        };
        let refused = async {
            match start.consuming(&running).await {
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        tokio::select! {
            signal = signals.next() => Ok(running.stop(signal, &mut signals).await?),
            // Something of ours went wrong, and is in the log.
            () = running.stopping() => {
                running.shutdown().await?;
                Err(RunError::Broken { service: running.name().to_owned() })
            }
            error = refused => {
                let _ = running.shutdown().await;
                Err(error.into())
            }
        }
    }

    fn link(&self, task: &str, mode: TopologyMode) -> Link {
        let name = format!("{} {task}", self.name);
        Link::new(Arc::clone(&self.transport), name, Arc::clone(&self.topology), mode, Arc::clone(&self.clock))
    }
}

impl fmt::Debug for BuiltService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltService")
            .field("name", &self.name)
            .field("broker", &self.transport.address())
            .finish_non_exhaustive()
    }
}

/// A start, which may have a limit of time.
struct Start {
    service: String,
    broker: String,
    timeout: Duration,
    over: BoxFuture<'static, ()>,
}

impl Start {
    fn of(built: &BuiltService) -> Self {
        let over = built.start_timeout.map(|timeout| built.clock.sleep(timeout));
        Self {
            service: built.name.clone(),
            broker: built.transport.address(),
            timeout: built.start_timeout.unwrap_or_default(),
            over: over.unwrap_or_else(|| Box::pin(std::future::pending())),
        }
    }

    /// The first connection of a link.
    async fn first(&mut self, link: &Link, declared: bool) -> Result<(), StartError> {
        let connected = tokio::select! {
            biased;
            connected = link.first(declared) => connected,
            () = &mut self.over => {
                let reason = link.life().last_error.map(|(_, error)| error.to_string());
                return Err(self.unreachable(reason.unwrap_or_else(|| "no answer yet".to_owned())));
            }
        };
        connected.map_err(|error| self.refused(error))
    }

    /// Waits until every subscription receives events.
    async fn consuming(&mut self, running: &Running) -> Result<(), StartError> {
        let consuming = tokio::select! {
            biased;
            consuming = running.consuming() => consuming,
            () = &mut self.over => return Err(self.unreachable(running.health().problems().join("; "))),
        };
        consuming.map_err(|error| self.refused(error))
    }

    fn refused(&self, error: TransportError) -> StartError {
        StartError::new(&self.service, &self.broker, error)
    }

    fn unreachable(&self, reason: String) -> StartError {
        let (service, broker) = (self.service.clone(), self.broker.clone());
        StartError::Unreachable { service, broker, waited: self.timeout, reason }
    }
}
