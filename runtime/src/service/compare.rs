//! A service's plan beside what its broker has. Nothing is created.

mod by_amqp;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{BuildError, BuiltService, Site, StartError};
use crate::{
    management::{Management, ManagementError},
    topology::{
        Comparison, TopologyMode,
        compare::{self, Owner},
    },
    transport::TransportError,
};

/// Why a service's plan could not be compared with what its broker has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The service cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The broker refused the service.
    #[error("service `{service}` cannot be compared: RabbitMQ at {broker} answered {code}: {text}")]
    Refused {
        /// The service's name.
        service: String,
        /// The broker's address, without the password.
        broker: String,
        /// AMQP's reply code: 403 for credentials, 530 for a virtual host that is not there.
        code: u16,
        /// What the broker said, and what to do.
        text: String,
    },
    /// The broker cannot be reached, or was lost. It is asked once: nothing is waited for.
    #[error("service `{service}` cannot be compared: lost RabbitMQ at {broker}: {reason}")]
    Lost {
        /// The service's name.
        service: String,
        /// The broker's address, without the password.
        broker: String,
        /// What happened.
        reason: String,
    },
    /// The management API cannot be asked.
    #[error("service `{service}` cannot be compared by the management API at {management}: {reason}")]
    Management {
        /// The service's name.
        service: String,
        /// Where it is, without the password.
        management: String,
        /// What happened, and what to do.
        reason: String,
    },
}

impl BuiltService {
    /// Compares the service's plan with what its broker has; see [`Service::compare`](crate::Service::compare).
    ///
    /// # Errors
    /// The broker or its management API cannot be asked.
    pub async fn compare(&self) -> Result<Comparison, CompareError> {
        self.site().compare().await
    }

    fn site(&self) -> Site {
        Site {
            service: self.name.clone(),
            topology: Arc::clone(&self.topology),
            transport: Arc::clone(&self.transport),
            management: self.management.clone(),
            clock: Arc::clone(&self.clock),
            deadlines: self.deadlines(),
        }
    }

    /// How long the handlers of the work queues may run.
    pub(super) fn deadlines(&self) -> BTreeMap<String, Duration> {
        let workers = self.handlers.iter().map(|handler| &handler.worker);
        workers.map(|worker| (worker.queue.to_string(), worker.timeout)).collect()
    }

    /// At the start: what [`TopologyMode::Verify`] checks beyond AMQP, where the management API is given. One that cannot be
    /// reached keeps no service from starting.
    pub(super) async fn verify(&self) -> Result<(), StartError> {
        let (TopologyMode::Verify, Some(management)) = (self.mode, &self.management) else { return Ok(()) };
        let service = &self.name;
        let comparison = match self.site().compare_by(management).await {
            Ok(comparison) => comparison,
            Err(error) if error.passing => {
                tracing::warn!(
                    service,
                    %management,
                    %error,
                    "starting with arguments, bindings and policies unchecked: the management API cannot be read"
                );
                return Ok(());
            }
            Err(error) => {
                let (management, reason) = (management.to_string(), error.to_string());
                return Err(StartError::Management { service: service.clone(), management, reason });
            }
        };
        if comparison.breaking().next().is_some() {
            return Err(StartError::Differs { service: service.clone(), broker: self.transport.address(), comparison });
        }
        for difference in &comparison.differences {
            tracing::warn!(service, %difference, cure = difference.cure(), "the broker differs from the plan");
        }
        for unchecked in &comparison.unchecked {
            tracing::warn!(service, unchecked, "something of the plan was not checked");
        }
        Ok(())
    }
}

impl Site {
    pub(crate) async fn compare(&self) -> Result<Comparison, CompareError> {
        match &self.management {
            Some(management) => self.compare_by(management).await.map_err(|error| CompareError::Management {
                service: self.service.clone(),
                management: management.to_string(),
                reason: error.to_string(),
            }),
            None => self.compare_by_amqp().await.map_err(|error| self.not_compared(error)),
        }
    }

    async fn compare_by(&self, management: &Management) -> Result<Comparison, ManagementError> {
        let listing = management.list(&self.service, &self.topology).await?;
        let owner = Owner { service: &self.service, deadlines: &self.deadlines };
        Ok(compare::compare(&self.topology, owner, &listing))
    }

    async fn compare_by_amqp(&self) -> Result<Comparison, TransportError> {
        let connection = self.connect("comparing").await?;
        let comparison = by_amqp::compare(&*connection, &self.topology).await;
        connection.close().await;
        comparison
    }

    fn not_compared(&self, error: TransportError) -> CompareError {
        let (service, broker) = (self.service.clone(), self.transport.address());
        match error {
            TransportError::Refused { code, text } => CompareError::Refused { service, broker, code, text },
            TransportError::Lost { reason }
            | TransportError::Away { reason }
            | TransportError::Unwritable { text: reason } => CompareError::Lost { service, broker, reason },
        }
    }
}
