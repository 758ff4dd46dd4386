//! Services on a test's broker.

use std::sync::Arc;

use rabbitry::{AnyEvent, Publisher, Running, Service, Subscription, testing::Test};
use tokio::sync::Semaphore;

use crate::{Node, Record, TestBroker, number, within};

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

/// Stops all services of a test, one after the other; the test's own goes on.
pub async fn stop_all(test: &mut Test) {
    while !test.services().is_empty() {
        stop(test.take(0)).await;
    }
}

/// The names of all queues on a test's broker, whoever declared them. On RabbitMQ it is one of the shared node.
pub async fn queues(test: &Test) -> Vec<String> {
    let address = test.broker().transport().expect("the broker can be used").address();
    match address.strip_prefix("amqp://").and_then(|rest| rest.split_once('/')) {
        Some((_, vhost)) => Node::shared().await.queues(vhost).await,
        None => test.queues().into_iter().collect(),
    }
}

/// A service whose handler notes that it has begun, waits at the gate, and notes that it has ended.
#[must_use]
pub fn gated(begun: &Record<u64>, ended: &Record<u64>, gate: &Arc<Semaphore>) -> Service {
    let (begun, ended, gate) = (begun.clone(), ended.clone(), Arc::clone(gate));
    let subscription = Subscription::to("order").name("slow").concurrency(4).handler(move |event: AnyEvent| {
        let (begun, ended, gate) = (begun.clone(), ended.clone(), Arc::clone(&gate));
        async move {
            begun.add(number(&event));
            gate.acquire().await.expect("the gate stays").forget();
            ended.add(number(&event));
        }
    });
    Service::new("worker").publishes::<AnyEvent>().subscription(subscription)
}
