//! Tests that run on both brokers: what they have in common with each, and what their schedules are made of.

use std::time::{Duration, Instant};

use rabbitry::testing::Place;

use crate::TestBroker;

/// How long a test may take in memory, whatever its schedules are: generous, for a machine that is busy, and still nothing of
/// the hours that [`unit`] makes.
const IN_MEMORY: Duration = Duration::from_secs(60);

/// How much later than promised something may come: generous, since brokers and machines may be busy. In memory it is next
/// to nothing of an hour.
pub const LATE: Duration = Duration::from_secs(30);

/// The unit of a test's schedules: a second on RabbitMQ, where it passes, and an hour in memory, where it must not.
#[must_use]
pub fn unit(place: &Place) -> Duration {
    match place {
        Place::Memory => Duration::from_secs(3600),
        Place::Broker(_) => Duration::from_secs(1),
    }
}

/// Runs the body of a test on a memory broker.
///
/// # Panics
/// It takes longer than the computing does: a delay of its schedules has passed as in life.
pub async fn in_memory<F: Future<Output = ()>>(body: impl FnOnce(Place) -> F) {
    crate::log();
    let began = Instant::now();
    body(Place::Memory).await;
    assert!(began.elapsed() < IN_MEMORY, "it took {:?} in memory", began.elapsed());
}

/// Runs the body of a test on RabbitMQ, in a virtual host of its own.
pub async fn on_rabbitmq<F: Future<Output = ()>>(body: impl FnOnce(Place) -> F) {
    let broker = TestBroker::new().await;
    body(broker.url().into()).await;
}
