//! A service that is checked and has all it needs, and not yet a connection.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{RunError, Running, StartError, build::BuiltHandler, running::Parts, signal::Signals};
use crate::{
    consumer::{Consumer, Runs, Sign},
    event::Events,
    management::Management,
    publisher::{Jobs, Outgoing, Pipeline, Unrouted},
    time::Clock,
    topology::{Topology, TopologyMode},
    transport::{Link, NOT_FOUND, Transport, TransportError},
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
    /// The broker refuses the service or its plan.
    pub async fn start(self) -> Result<Running, StartError> {
        let (service, broker) = (self.name.clone(), self.transport.address());
        let running = self.begin().await?;
        match running.consuming().await {
            Ok(()) => Ok(running),
            Err(error) => {
                // What runs already is finished; what is cut off comes again.
                let _ = running.shutdown().await;
                Err(StartError::new(&service, &broker, error))
            }
        }
    }

    /// Connects and starts the tasks.
    async fn begin(self) -> Result<Running, StartError> {
        let refused = |error| StartError::new(&self.name, &self.transport.address(), error);
        let publishing = Arc::new(self.link("publishing", self.mode));
        let consuming = (!self.handlers.is_empty()).then(|| Arc::new(self.link("consuming", self.mode)));
        if let Err(error) = publishing.first(false).await {
            // One thing that is missing; the management API knows whether it is all.
            if matches!(error, TransportError::Refused { code: NOT_FOUND, .. }) {
                self.verify().await?;
            }
            return Err(refused(error));
        }
        if let Err(error) = self.verify().await {
            publishing.close().await;
            return Err(error);
        }
        if let Some(consuming) = &consuming
            && let Err(error) = consuming.first(true).await
        {
            publishing.close().await;
            return Err(refused(error));
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
                let sign = Sign::default();
                let consumer = Consumer {
                    worker: Arc::clone(&worker),
                    link: Arc::clone(&consuming),
                    concurrency: handler.concurrency.into(),
                    prefetch: handler.prefetch,
                    exclusive: handler.exclusive,
                    grace: self.grace,
                    stopping: parts.stopping.clone(),
                    cut: parts.cut.clone(),
                    sign: sign.clone(),
                    runs: Runs::new(),
                    generation: 0,
                };
                parts.consume(&worker, sign, consumer);
            }
        }
        Ok(Running::new(parts))
    }

    /// Starts the service and serves until a signal; see [`Service::run`](crate::Service::run).
    ///
    /// # Errors
    /// The broker refuses the service or its plan, or handlers were cut off at the end of the grace period.
    pub async fn run(self) -> Result<(), RunError> {
        let mut signals = Signals::listen().map_err(RunError::Signals)?;
        let (service, broker) = (self.name.clone(), self.transport.address());
        let running = tokio::select! {
            running = self.begin() => running?,
            signal = signals.next() => {
                tracing::info!(signal, "stopped before it had started");
                return Ok(());
            }
        };
        let refused = async {
            match running.consuming().await {
                Ok(()) => std::future::pending().await,
                Err(error) => error,
            }
        };
        tokio::select! {
            signal = signals.next() => Ok(running.stop(signal, &mut signals).await?),
            // Something of ours went wrong, and is in the log.
            () = running.stopping() => Ok(running.shutdown().await?),
            error = refused => {
                let _ = running.shutdown().await;
                Err(StartError::new(&service, &broker, error).into())
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
