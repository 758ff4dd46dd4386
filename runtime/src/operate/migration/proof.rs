//! That nobody has a message of a queue in hand which would come back to it.

use std::time::Duration;

use super::{MigrateError, found, routes::unread, run::Run};
use crate::topology::{PlanVersion, Queue, QueueType, work_queue_arguments};

/// How long the management API may be late: RabbitMQ counts every 5 s, and what it shows is up to that old.
const STATISTICS: Duration = Duration::from_secs(7);
/// How long a message may be in hand, or a dead letter on its way, once the queue is empty.
const IN_HAND: Duration = Duration::from_secs(60);

/// What proves it, once a queue has neither messages that are ready nor consumers.
pub(super) enum Proof {
    /// Nothing more is needed: a quorum queue counts as consumers all who have something of it.
    Usage,
    /// The management API, which counts all messages: also dead letters on their way to where they go.
    Management,
    /// The user says so.
    Said,
}

impl Proof {
    /// What there is of a work queue.
    pub(super) async fn of(run: &Run<'_>) -> Result<Self, MigrateError> {
        if run.migration.site.management.is_some() {
            return Ok(Self::Management);
        }
        for arguments in as_quorum_queues(run.planned()) {
            let asked = Queue { arguments, ..run.planned().clone() };
            let unequal = found::unequal(run.connection, &asked).await.map_err(|error| run.failed(error))?;
            if unequal.is_none() {
                return Ok(Self::Usage);
            }
        }
        if run.migration.all_stopped {
            return Ok(Self::Said);
        }
        Err(MigrateError::Unproven { queue: run.planned().name.clone() })
    }

    /// Waits until it is proven.
    pub(super) async fn wait(&self, run: &Run<'_>, queue: &str) -> Result<(), MigrateError> {
        let (Self::Management, Some(management)) = (self, &run.migration.site.management) else { return Ok(()) };
        let clock = &run.migration.site.clock;
        let until = clock.now() + IN_HAND;
        loop {
            // What is counted now was counted when nobody consumed any more.
            clock.sleep(STATISTICS).await;
            let queues = management.queues(&[queue.to_owned()]).await.map_err(|error| unread(run, &error))?;
            match queues.first().map(|(_, listed)| listed.messages) {
                None | Some(Some(0)) => return Ok(()),
                Some(messages) if clock.now() >= until => {
                    return Err(MigrateError::Held { queue: queue.to_owned(), messages: messages.unwrap_or_default() });
                }
                // Somebody has given them back.
                Some(_) if !run.is_empty(queue).await? => return Ok(()),
                Some(_) => {}
            }
        }
    }
}

/// The arguments that each version of the plan has or had for a quorum queue.
fn as_quorum_queues(queue: &Queue) -> impl Iterator<Item = crate::topology::Arguments> {
    let version = PlanVersion::of(&queue.arguments).unwrap_or(PlanVersion::CURRENT);
    let versions = std::iter::once(version).chain(version.former());
    versions.map(|version| work_queue_arguments(&queue.name, QueueType::Quorum, version))
}
