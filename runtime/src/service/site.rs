//! A service's plan and its broker, without what its handlers need to run: enough to declare, compare and mend.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{BuildError, Service, build, plan};
use crate::{
    management::Management,
    time::Clock,
    topology::Topology,
    transport::{Connection, Transport, TransportError},
};

/// See the module.
pub(crate) struct Site {
    pub(crate) service: String,
    pub(crate) topology: Arc<Topology>,
    pub(crate) transport: Arc<dyn Transport>,
    /// The broker's management API, where its URL is given.
    pub(crate) management: Option<Arc<Management>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long the handlers of the work queues may run.
    pub(super) deadlines: BTreeMap<String, Duration>,
}

impl Site {
    /// That of a service that may still lack state.
    pub(crate) fn of(service: &Service) -> Result<Self, BuildError> {
        let planned = plan::plan(service)?;
        let broker = build::broker(service)?;
        let timeout = |timeout: &Result<Duration, _>| timeout.clone().unwrap_or(crate::subscription::TIMEOUT);
        let handlers = service.subscriptions.iter().zip(planned.subscriptions);
        Ok(Self {
            service: service.name.clone(),
            topology: Arc::new(planned.topology),
            transport: broker.transport()?,
            management: build::management(service, &broker)?,
            clock: Arc::clone(&service.clock),
            deadlines: handlers
                .map(|(subscription, handler)| (handler.subscription.queue, timeout(&subscription.options.timeout)))
                .collect(),
        })
    }

    /// One connection; `task` is what an operator sees of it beside the service's name. It is asked for once.
    pub(crate) async fn connect(&self, task: &str) -> Result<Arc<dyn Connection>, TransportError> {
        self.transport.connect(&format!("{} {task}", self.service), &self.clock).await
    }
}
