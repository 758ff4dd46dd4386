//! A migration under way.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    Found, MigrateError, Migrated, Migration, Step, found,
    holding::Holding,
    moving::{Moving, Round, Stays},
    proof::Proof,
    routes::{self, Route},
};
use crate::{
    topology::{Destination, Queue, Topology, TopologyMode},
    transport::{Connection, TransportError},
};

/// How often a queue that was unbound is emptied once more, and unbound again, because messages came to it.
const ROUNDS: usize = 3;
/// How long a consumer of ours that has ended may be counted.
const SOON: Duration = Duration::from_secs(5);
/// How long between two looks.
const BETWEEN: Duration = Duration::from_millis(50);

pub(super) struct Run<'a> {
    pub(super) migration: &'a Migration,
    pub(super) connection: &'a dyn Connection,
    pub(super) holding: Holding,
    quiet: Duration,
    /// Told of each step; shared, so that a future of ours can go from thread to thread.
    told: Mutex<&'a mut (dyn FnMut(&Step) + Send)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        migration: &'a Migration,
        connection: &'a dyn Connection,
        quiet: Duration,
        told: &'a mut (dyn FnMut(&Step) + Send),
    ) -> Self {
        Self { migration, connection, holding: migration.holding(), quiet, told: Mutex::new(told) }
    }

    /// What is still to be done.
    pub(super) async fn all(self) -> Result<Migrated, MigrateError> {
        let mut migrated = Migrated::default();
        let found = found::look(self.connection, self.planned(), &self.holding).await;
        match found.map_err(|error| self.failed(error))? {
            Found::Missing => return Ok(migrated),
            Found::AsPlanned => {
                // All that a migration may have left that ended at its end.
                let exchange = self.connection.delete_exchange(&self.holding.exchange).await;
                exchange.map_err(|error| self.failed(error))?;
                return Ok(migrated);
            }
            Found::Later => return Err(MigrateError::Later { queue: self.planned().name.clone() }),
            Found::Differs { .. } | Found::Begun { differs: true } => migrated.set_aside = self.set_aside().await?,
            Found::Begun { differs: false } => {}
        }
        migrated.brought_back = self.renew().await?;
        Ok(migrated)
    }

    /// Empties the work queue into the holding queue and deletes it.
    async fn set_aside(&self) -> Result<u64, MigrateError> {
        let (work, holding) = (self.planned().name.clone(), self.holding.queue.clone());
        self.check_unused(&work).await?;
        let proof = Proof::of(self).await?;
        let routes = routes::of(self).await?;
        self.declare(&self.beside()).await?;
        self.make(&holding, &self.holding.topology()).await?;
        self.pass(&[Route::sure(self.holding.lead(&work))], &work, &holding).await?;
        self.pass(&routes, &work, &holding).await?;
        let moved = self.leave(&work, &routes, &proof).await?;
        self.delete(work).await?;
        Ok(moved)
    }

    /// Makes the work queue, fills it from the holding queue, and deletes that.
    async fn renew(&self) -> Result<u64, MigrateError> {
        let (work, holding) = (self.planned().name.clone(), self.holding.queue.clone());
        self.check_unused(&holding).await?;
        let routes = routes::of(self).await?;
        self.declare(&self.beside()).await?;
        self.declare(&self.holding.topology()).await?;
        let planned = Topology { queues: vec![self.planned().clone()], ..Topology::default() };
        self.make(&work, &planned).await?;
        self.pass(&routes, &holding, &work).await?;
        self.pass(&[Route::sure(self.holding.lead(&work))], &holding, &work).await?;
        // It is a quorum queue, and only ours.
        let moved = self.leave(&holding, &routes, &Proof::Usage).await?;
        self.delete(holding).await?;
        let exchange = self.connection.delete_exchange(&self.holding.exchange).await;
        exchange.map_err(|error| self.failed(error))?;
        self.tell(&Step::Done { queue: work });
        Ok(moved)
    }

    /// Makes a queue that messages will be entrusted to, a while later: RabbitMQ loses a quorum queue that was declared less than
    /// a second before it is killed, with whatever is in it (measured).
    async fn make(&self, queue: &str, topology: &Topology) -> Result<(), MigrateError> {
        self.declare(topology).await?;
        self.migration.site.clock.sleep(self.quiet).await;
        self.tell(&Step::Made { queue: queue.to_owned() });
        Ok(())
    }

    /// Has routes lead to another queue: at no moment to neither of them.
    async fn pass(&self, routes: &[Route], from: &str, to: &str) -> Result<(), MigrateError> {
        for route in routes {
            let binding = route.to(to);
            match self.connection.declare(&binding_alone(&binding), TopologyMode::Declare).await {
                // Nothing of that version is here.
                Err(TransportError::Refused { code: crate::transport::NOT_FOUND, .. }) if route.is_former => continue,
                answer => answer.map_err(|error| self.failed(error))?,
            }
            let (exchange, routing_key) = (binding.source.clone(), binding.routing_key.clone());
            self.tell(&Step::Bound { queue: to.to_owned(), exchange, routing_key });
            self.unbind(route, from).await?;
        }
        Ok(())
    }

    async fn unbind(&self, route: &Route, queue: &str) -> Result<(), MigrateError> {
        let binding = route.to(queue);
        self.connection.unbind(&binding).await.map_err(|error| self.failed(error))?;
        let (exchange, routing_key) = (binding.source, binding.routing_key);
        self.tell(&Step::Unbound { queue: queue.to_owned(), exchange, routing_key });
        Ok(())
    }

    /// Empties a queue that was unbound, until it is proven that nothing of it is anywhere else.
    async fn leave(&self, queue: &str, routes: &[Route], proof: &Proof) -> Result<u64, MigrateError> {
        let mut moved = 0;
        for _ in 0..ROUNDS {
            let round = self.empty(queue).await?;
            moved += round.moved;
            self.check_unused(queue).await?;
            proof.wait(self, queue).await?;
            // Empty between two messages is not left.
            if round.quiet && self.is_empty(queue).await? {
                self.tell(&Step::Left { queue: queue.to_owned() });
                return Ok(moved);
            }
            for route in routes {
                self.unbind(route, queue).await?;
            }
        }
        Err(MigrateError::KeepsComing { queue: queue.to_owned() })
    }

    /// Moves all messages of a queue to where the exchange of the holding queue leads.
    async fn empty(&self, queue: &str) -> Result<Round, MigrateError> {
        let moving = Moving {
            connection: self.connection,
            clock: &*self.migration.site.clock,
            from: queue,
            exchange: &self.holding.exchange,
            quiet: self.quiet,
        };
        moving.round(&|step| self.tell(&step)).await.map_err(|stays| match stays {
            Stays::NotStored(reason) => MigrateError::NotStored { queue: queue.to_owned(), reason },
            Stays::Failed(error) => self.migration.failed(error),
        })
    }

    pub(super) async fn is_empty(&self, queue: &str) -> Result<bool, MigrateError> {
        let usage = found::usage(self.connection, queue).await.map_err(|error| self.failed(error))?;
        Ok(usage.is_none_or(|usage| usage.ready == 0 && usage.consumers == 0))
    }

    /// Fails if somebody consumes a queue; what is ours has ended, but may be counted for a moment.
    async fn check_unused(&self, queue: &str) -> Result<(), MigrateError> {
        let clock = &self.migration.site.clock;
        let until = clock.now() + SOON;
        loop {
            let usage = found::usage(self.connection, queue).await.map_err(|error| self.failed(error))?;
            let consumers = usage.map_or(0, |usage| usage.consumers);
            if consumers == 0 {
                return Ok(());
            }
            if clock.now() >= until {
                return Err(MigrateError::InUse { queue: queue.to_owned(), consumers });
            }
            clock.sleep(BETWEEN).await;
        }
    }

    async fn delete(&self, queue: String) -> Result<(), MigrateError> {
        self.connection.delete_queue(&queue).await.map_err(|error| self.failed(error))?;
        self.tell(&Step::Deleted { queue });
        Ok(())
    }

    async fn declare(&self, topology: &Topology) -> Result<(), MigrateError> {
        self.connection.declare(topology, TopologyMode::Declare).await.map_err(|error| self.failed(error))
    }

    /// All of the plan but the queues of handlers and what leads to them: the other ones may be still to be migrated.
    fn beside(&self) -> Topology {
        let plan = &self.migration.site.topology;
        let is_work = |name: &str| plan.is_work_queue(name);
        let mut beside = Topology::clone(plan);
        beside.queues.retain(|queue| !is_work(&queue.name));
        beside.bindings.retain(|binding| match &binding.destination {
            Destination::Queue(name) => !is_work(name),
            Destination::Exchange(_) => true,
        });
        beside
    }

    /// The queue as it is to be.
    pub(super) fn planned(&self) -> &'a Queue {
        &self.migration.queue
    }

    pub(super) fn failed(&self, error: TransportError) -> MigrateError {
        self.migration.failed(error)
    }

    fn tell(&self, step: &Step) {
        (self.told.lock().unwrap_or_else(PoisonError::into_inner))(step);
    }
}

fn binding_alone(binding: &crate::topology::Binding) -> Topology {
    Topology { bindings: vec![binding.clone()], ..Topology::default() }
}
