//! Moves a work queue to other arguments, or to another type, with nothing lost.
//!
//! The name must stay, so the messages go away and come back, by way of a holding queue. At every moment either the work
//! queue or the holding queue is bound to everything that the work queue is bound to, and nothing is deleted before it is
//! empty and nobody has anything of it in hand. How far a migration came is read off what is there.

mod error;
mod found;
mod holding;
mod moving;
mod proof;
mod routes;
mod run;
mod step;

use std::{sync::Arc, time::Duration};

pub use error::MigrateError;
pub use found::Found;
pub use step::Step;

use crate::{
    Service,
    service::Site,
    time::{IntoDuration, InvalidDuration},
    topology::Queue,
    transport::{Connection, TransportError},
};
use holding::Holding;
use run::Run;

/// How long a new queue must have been there before messages are entrusted to it, and an old one have got nothing before it
/// counts as left: what a broker has routed to it may still be on its way.
const QUIET: Duration = Duration::from_secs(3);

/// A work queue that is to be moved to the arguments of its service's plan.
///
/// ```no_run
/// # async fn migrate(stock: rabbitry::Service) -> Result<(), rabbitry::operate::MigrateError> {
/// use rabbitry::operate::Migration;
///
/// // Every instance of the service is stopped.
/// let migration = Migration::of(&stock, "stock.reserve")?;
/// migration.run(|step| println!("{step}")).await?;
/// # Ok(())
/// # }
/// ```
///
/// # What it does
///
/// 1. It makes a holding queue, `{queue}.migrating`, binds it to everything that the work queue is bound to, and unbinds the work
///    queue, binding by binding. Retries that wait in the delay ladder will come to the holding queue, too.
/// 2. It moves all messages there. Each is confirmed by the broker before it is acknowledged.
/// 3. It deletes the work queue, once it is empty, nothing more comes, and nobody has a message of it in hand.
/// 4. It makes the work queue anew, and does 1 to 3 the other way round.
///
/// An end at any point, of this process, of the connection or of the broker, loses nothing: events go on to wherever the queues
/// are bound, and the same migration begun again goes on where the other one ended.
///
/// # What it needs
///
/// All instances of the service must be stopped, and stay so until the work queue is there again: it is refused while something
/// consumes the queue. A quorum queue proves that nobody has a message in hand. A classic one does not: there it needs
/// [`management_url`](Service::management_url), or to be told that [all are stopped](Self::all_stopped).
///
/// Without the management API it knows the bindings of the plan alone: others end with the old queue. Messages that somebody
/// publishes straight to the queue by the default exchange have no queue for a moment.
///
/// # What changes
///
/// Messages keep their bodies, properties, headers and ids, but for what the broker acts on, as in every copy of rabbitry's.
/// Their order is mostly kept; what is published meanwhile may come before what waited. Their delivery counts begin anew, the
/// attempts of handlers go on. An event that is published in the moment in which a binding passes from one queue to the other,
/// and what was on its way when a migration was interrupted, may come twice, with the same id.
pub struct Migration {
    site: Site,
    queue: Queue,
    quiet: Result<Duration, InvalidDuration>,
    all_stopped: bool,
}

impl std::fmt::Debug for Migration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Migration").field("queue", &self.queue.name).finish_non_exhaustive()
    }
}

/// What a migration did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Migrated {
    /// How many messages went to the holding queue.
    pub set_aside: u64,
    /// How many came back.
    pub brought_back: u64,
}

impl Migration {
    /// That of one of a service's work queues.
    ///
    /// # Errors
    /// The service's plan breaks a rule, there is no broker, or the queue is none that the service's plan makes for a handler.
    pub fn of(service: &Service, queue: &str) -> Result<Self, MigrateError> {
        let site = Site::of(service)?;
        let topology = Arc::clone(&site.topology);
        let found = topology.work_queues().find(|work| work.name == queue);
        let queue = found.cloned().ok_or_else(|| MigrateError::no_work_queue(queue, &topology))?;
        Ok(Self { site, queue, quiet: Ok(QUIET), all_stopped: false })
    }

    /// How long a queue must have got nothing before it is deleted, and have been there before anything is moved to it: a
    /// [`Duration`] or a text like `"3s"`. Default: 3 s; more where the broker is a cluster that is busy or in trouble.
    #[must_use]
    pub fn quiet(mut self, quiet: impl IntoDuration) -> Self {
        self.quiet = quiet.into_duration();
        self
    }

    /// Says that every instance of the service has ended, and not only begun to: a classic queue does not tell whether one
    /// still has messages in hand. What it has would be lost with the queue if it were killed then. Default: unsaid.
    #[must_use]
    pub fn all_stopped(mut self, all_stopped: bool) -> Self {
        self.all_stopped = all_stopped;
        self
    }

    /// Looks at how far it is. It changes nothing.
    ///
    /// # Errors
    /// The broker cannot be asked.
    pub async fn look(&self) -> Result<Found, MigrateError> {
        let connection = self.connect().await?;
        let found = found::look(&*connection, &self.queue, &self.holding()).await;
        connection.close().await;
        found.map_err(|error| self.failed(error))
    }

    /// Does what is still to be done; each step is told of when it is done.
    ///
    /// # Errors
    /// See [`MigrateError`]. After each of them nothing is lost, and it can be run again.
    pub async fn run(&self, mut told: impl FnMut(&Step) + Send) -> Result<Migrated, MigrateError> {
        let quiet = self.quiet.clone().map_err(MigrateError::Quiet)?;
        let connection = self.connect().await?;
        let migrated = Run::new(self, &*connection, quiet, &mut told).all().await;
        connection.close().await;
        migrated
    }

    async fn connect(&self) -> Result<Arc<dyn Connection>, MigrateError> {
        self.site.connect("migrating").await.map_err(|error| self.failed(error))
    }

    fn holding(&self) -> Holding {
        Holding::of(&self.queue.name)
    }

    fn failed(&self, error: TransportError) -> MigrateError {
        MigrateError::new(&self.queue.name, &self.site.transport.address(), error)
    }
}
