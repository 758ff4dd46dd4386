//! What is done with a service once it is described.

use super::{BuildError, BuiltService, CompareError, RunError, Running, Service, Site, StartError, build, plan};
use crate::topology::{Comparison, Topology};

impl Service {
    /// What the service needs on the broker, without asking any.
    ///
    /// # Errors
    /// Those of [`build`](Self::build), but for a missing broker and missing state.
    pub fn topology(&self) -> Result<Topology, BuildError> {
        Ok(plan::plan(self)?.topology)
    }

    /// Checks everything that can be checked without a broker.
    ///
    /// # Errors
    /// See [`BuildError`]: names that break the rules, two handlers with one queue, state that a handler wants and the
    /// service lacks, no broker, and so on; with handler and cure.
    pub fn build(self) -> Result<BuiltService, BuildError> {
        build::build(self)
    }

    /// Creates what the service needs on the broker and ends: for deploys. After it services start in any order, and no
    /// event is missed by one that has not started yet.
    ///
    /// # Errors
    /// Those of [`build`](Self::build), and what the broker refuses.
    pub async fn declare(self) -> Result<(), StartError> {
        self.build()?.declare().await
    }

    /// Compares what the service needs on the broker with what is there. It creates nothing, consumes nothing, and asks
    /// once: a broker that cannot be reached is an error, not something to wait for.
    ///
    /// AMQP alone tells whether exchanges and queues are there, and the first thing of each that differs. With
    /// [`management_url`](Self::management_url) all of it is compared: arguments, bindings, policies, and what a renamed or
    /// removed handler left. What could not be checked is named in [`Comparison::unchecked`].
    ///
    /// ```no_run
    /// # async fn compare() -> Result<(), Box<dyn std::error::Error>> {
    /// use rabbitry::{AnyEvent, Service};
    ///
    /// let audit = Service::new("audit")
    ///     .broker("amqp://audit:secret@rabbit/shop")
    ///     .management_url("http://rabbit:15672")
    ///     .subscribe("order.*", |event: AnyEvent| async move { println!("{}", event.name()) });
    /// let comparison = audit.compare().await?;
    /// print!("{comparison}");
    /// assert_eq!(comparison.breaking().count(), 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`build`](Self::build), but for missing state, and a broker that cannot be asked; see [`CompareError`].
    pub async fn compare(self) -> Result<Comparison, CompareError> {
        Site::of(&self)?.compare().await
    }

    /// Starts the service beside other things of this process, an HTTP server for example, and returns once it consumes.
    ///
    /// While the broker cannot be reached it waits, up to [`start_timeout`](Self::start_timeout), and says so in the log.
    ///
    /// # Errors
    /// Those of [`build`](Self::build), and what the broker refuses: credentials, permissions, a plan that differs from
    /// what is there.
    pub async fn start(self) -> Result<Running, StartError> {
        self.build()?.start().await
    }

    /// Starts the service and serves until SIGTERM or SIGINT, then shuts down; a second signal ends it at once.
    ///
    /// # Errors
    /// Those of [`start`](Self::start), and handlers that were cut off at the end of the grace period.
    pub async fn run(self) -> Result<(), RunError> {
        let built = self.build().map_err(StartError::from)?;
        built.run().await
    }
}
