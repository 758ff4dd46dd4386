//! A service's plan beside what its broker has. Nothing is created.

mod by_amqp;

use super::{BuildError, BuiltService};
use crate::{topology::Comparison, transport::TransportError};

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
        self.compare_by_amqp().await.map_err(|error| self.not_compared(error))
    }

    async fn compare_by_amqp(&self) -> Result<Comparison, TransportError> {
        let connection = self.transport.connect(&format!("{} comparing", self.name), &self.clock).await?;
        let comparison = by_amqp::compare(&*connection, &self.topology).await;
        connection.close().await;
        comparison
    }

    fn not_compared(&self, error: TransportError) -> CompareError {
        let (service, broker) = (self.name.clone(), self.transport.address());
        match error {
            TransportError::Refused { code, text } => CompareError::Refused { service, broker, code, text },
            TransportError::Lost { reason } | TransportError::Unwritable { text: reason } => {
                CompareError::Lost { service, broker, reason }
            }
        }
    }
}
