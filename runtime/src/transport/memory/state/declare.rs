//! What makes, binds, empties and removes queues and exchanges.

use std::{sync::Arc, time::SystemTime};

use super::{
    ConnectionId, Effect, State,
    arguments::{Kind, Settings, are_of_quorum_queue, unequal, with_type},
    exchange::To,
    queue::Queue,
    refusal::{self, Refusal},
    routing::{check_length, check_not_reserved},
};
use crate::topology::{Arguments, Binding, Destination, Exchange};

/// What a client says of a queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueDeclaration {
    /// Empty if the server is to name it.
    pub(crate) name: String,
    pub(crate) durable: bool,
    /// Whether only this connection may use it.
    pub(crate) exclusive: bool,
    /// Whether it goes with its last consumer.
    pub(crate) auto_delete: bool,
    pub(crate) arguments: Arguments,
    /// Whether it must be there already, with whatever arguments.
    pub(crate) passive: bool,
    /// Who says it.
    pub(crate) connection: ConnectionId,
}

/// The queue that is there then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueDeclared {
    pub(crate) name: String,
    pub(crate) ready: usize,
    pub(crate) consumers: usize,
}

impl State {
    /// Makes an exchange, or compares it with the one of its name: type and alternate exchange, nothing else. Passively,
    /// it only has to be there.
    pub(crate) fn declare_exchange(&mut self, exchange: &Exchange, passive: bool) -> Result<(), Refusal> {
        self.exchanges.declare(exchange, passive)
    }

    /// Makes a queue, or compares it with the one of its name.
    pub(crate) fn declare_queue(
        &mut self,
        mut declaration: QueueDeclaration,
        now: SystemTime,
    ) -> Result<QueueDeclared, Refusal> {
        self.advance(now);
        check_length(&declaration.name)?;
        if !declaration.passive {
            declaration.arguments = with_type(&declaration.arguments);
            self.make_queue(&mut declaration, now)?;
        }
        let QueueDeclaration { name, connection, .. } = declaration;
        self.accessible(&name, connection)?;
        let info = self.with_queue(&name, |queue, _| {
            // Counting the messages of a classic queue is using it, passively too.
            if !queue.is_quorum() {
                queue.touch(now);
            }
            queue.info()
        });
        let info = info.ok_or_else(|| Refusal::no_queue(&name))?;
        Ok(QueueDeclared { name, ready: info.ready, consumers: info.users })
    }

    fn make_queue(&mut self, declaration: &mut QueueDeclaration, now: SystemTime) -> Result<(), Refusal> {
        if declaration.name.is_empty() {
            if are_of_quorum_queue(&declaration.arguments) {
                let text = "Cannot declare a server-named queue for type rabbit_quorum_queue";
                return Err(Refusal::precondition_failed(text));
            }
            declaration.name = format!("amq.gen-{:022}", self.made);
        } else {
            check_not_reserved("queue", &declaration.name)?;
        }
        let owner = declaration.exclusive.then_some(declaration.connection);
        if let Some(existing) = self.queues.get(declaration.name.as_str()) {
            return assert_same(existing, declaration, owner);
        }
        let settings = Settings::new(&declaration.name, declaration.arguments.clone())?;
        if settings.kind == Kind::Quorum {
            let wrong = [
                (declaration.auto_delete, "auto-delete"),
                (declaration.exclusive, "exclusive-owner"),
                (!declaration.durable, "non-durable"),
            ];
            if let Some((_, property)) = wrong.into_iter().find(|(wrong, _)| *wrong) {
                let text = format!("invalid property '{property}' for {}", refusal::queue(&declaration.name));
                return Err(Refusal::precondition_failed(&text));
            }
        }
        self.made += 1;
        let name: Arc<str> = declaration.name.as_str().into();
        let mut queue = Queue::new(Arc::clone(&name), self.made, settings, now);
        queue.durable = declaration.durable && !declaration.exclusive;
        queue.auto_delete = declaration.auto_delete;
        queue.owner = owner;
        self.queues.insert(name, queue);
        Ok(())
    }

    /// Removes a queue and all that it holds, and says how many messages nobody had. One that is not there is no mistake.
    pub(crate) fn delete_queue(&mut self, name: &str, connection: ConnectionId) -> Result<usize, Refusal> {
        if !self.queues.contains_key(name) {
            return Ok(0);
        }
        let ready = self.accessible(name, connection)?.info().ready;
        self.remove_queue(name);
        Ok(ready)
    }

    /// Removes a queue without asking; its consumers are told.
    pub(super) fn remove_queue(&mut self, name: &str) {
        let Some(queue) = self.queues.remove(name) else { return };
        if let Some(scheduled) = queue.scheduled {
            self.due.remove(&(scheduled, Arc::clone(&queue.name)));
        }
        for consumer in queue.consumers.ids() {
            if let Some(subscription) = self.consumers.remove(&consumer) {
                self.flow.channels.forget(subscription.channel, consumer);
            }
            self.flow.effects.push(Effect::Cancelled { consumer });
        }
        self.exchanges.forget(&To::Queue(queue.name));
    }

    /// Removes an exchange and all bindings from it and to it. One that is not there is no mistake.
    pub(crate) fn delete_exchange(&mut self, name: &str) -> Result<(), Refusal> {
        self.exchanges.delete(name)
    }

    /// Drops what a queue has and nobody got, and says how many messages it was.
    pub(crate) fn purge_queue(&mut self, name: &str, connection: ConnectionId) -> Result<usize, Refusal> {
        self.accessible(name, connection)?;
        self.with_queue(name, |queue, _| queue.purge()).ok_or_else(|| Refusal::no_queue(name))
    }

    /// Binds a queue or an exchange to an exchange; the same binding twice is one.
    pub(crate) fn bind(&mut self, binding: &Binding, connection: ConnectionId) -> Result<(), Refusal> {
        check_length(&binding.routing_key)?;
        not_the_default_exchange(binding)?;
        if !self.exchanges.contains(&binding.source) {
            return Err(Refusal::no_exchange(&binding.source));
        }
        match &binding.destination {
            Destination::Queue(name) => _ = self.accessible(name, connection)?,
            Destination::Exchange(name) if !self.exchanges.contains(name) => return Err(Refusal::no_exchange(name)),
            Destination::Exchange(_) => {}
        }
        self.exchanges.bind(binding)
    }

    /// Removes a binding. One that is not there is no mistake, whatever else is missing (measured).
    pub(crate) fn unbind(&mut self, binding: &Binding, connection: ConnectionId) -> Result<(), Refusal> {
        not_the_default_exchange(binding)?;
        if let Destination::Queue(name) = &binding.destination
            && self.exchanges.has(binding)
        {
            self.accessible(name, connection)?;
        }
        self.exchanges.unbind(binding);
        Ok(())
    }
}

fn not_the_default_exchange(binding: &Binding) -> Result<(), Refusal> {
    let to_it = matches!(&binding.destination, Destination::Exchange(name) if name.is_empty());
    if to_it || binding.source.is_empty() { Err(Refusal::default_exchange()) } else { Ok(()) }
}

/// Checks a declaration against the queue that is there, in RabbitMQ's order.
fn assert_same(existing: &Queue, declaration: &QueueDeclaration, owner: Option<ConnectionId>) -> Result<(), Refusal> {
    let name = declaration.name.as_str();
    if existing.owner != owner {
        return Err(Refusal::locked(name));
    }
    let durable = declaration.durable && !declaration.exclusive;
    let fields =
        [("durable", durable, existing.durable), ("auto_delete", declaration.auto_delete, existing.auto_delete)];
    for (field, received, current) in fields {
        if received != current {
            let (received, current) = (format!("'{received}'"), format!("'{current}'"));
            return unequal(field, &refusal::queue(name), &received, &current);
        }
    }
    existing.settings.assert_same(name, &declaration.arguments)
}
