//! Services on a test's broker.

use rabbitry::{AnyEvent, Publisher, Running, Service};

use crate::{TestBroker, within};

impl TestBroker {
    /// Starts a service here, and returns once it consumes.
    pub async fn start(&self, service: Service) -> Running {
        within("starting", service.broker(self.url()).start()).await.expect("the service starts")
    }
}

/// Stops a service; whatever it had in hand is finished and acknowledged then.
pub async fn stop(running: Running) {
    within("stopping", running.shutdown()).await.expect("the service stops");
}

/// The publisher of any event of a service that declares it.
#[must_use]
pub fn any(running: &Running) -> Publisher<AnyEvent> {
    running.publisher().expect("the service declares that it publishes AnyEvent")
}
