//! What takes bindings, queues and exchanges off the broker.
//!
//! RabbitMQ's own conditions (only if unused, only if empty) are not used: quorum queues answer them with 540, which ends the
//! connection.

use lapin::options::{ExchangeDeleteOptions, ExchangeUnbindOptions, QueueDeleteOptions};

use super::{Connection, connection::answered, convert, declare::Asking};
use crate::{
    topology::{Binding, Destination},
    transport::TransportError,
};

pub(super) async fn unbind(connection: &Connection, binding: &Binding) -> Result<(), TransportError> {
    let source = convert::short(&binding.source)?;
    let key = convert::short(&binding.routing_key)?;
    let arguments = convert::arguments(&binding.arguments)?;
    let name = convert::short(binding.destination.name())?;
    let asking = Asking::new(connection).await?;
    let unbound = match &binding.destination {
        Destination::Queue(_) => {
            let asked = asking.channel.queue_unbind(name, source, key, arguments);
            answered(connection.clock(), "unbinding a queue", asked).await
        }
        Destination::Exchange(_) => {
            let options = ExchangeUnbindOptions::default();
            let asked = asking.channel.exchange_unbind(name, source, key, options, arguments);
            answered(connection.clock(), "unbinding an exchange", asked).await
        }
    };
    asking.done(unbound).await
}

pub(super) async fn queue(connection: &Connection, queue: &str) -> Result<(), TransportError> {
    let asking = Asking::new(connection).await?;
    let asked = asking.channel.queue_delete(convert::short(queue)?, QueueDeleteOptions::default());
    let deleted = answered(connection.clock(), "deleting a queue", asked).await.map(drop);
    asking.done(deleted).await
}

pub(super) async fn exchange(connection: &Connection, exchange: &str) -> Result<(), TransportError> {
    let asking = Asking::new(connection).await?;
    let asked = asking.channel.exchange_delete(convert::short(exchange)?, ExchangeDeleteOptions::default());
    let deleted = answered(connection.clock(), "deleting an exchange", asked).await;
    asking.done(deleted).await
}
