//! A channel that publishes with confirms.

use std::sync::Arc;

use futures_util::future::join_all;
use lapin::{
    Channel, Confirmation, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};

use super::{connection::answered, convert, error};
use crate::{
    envelope::Message,
    time::Clock,
    transport::{Confirmed, Returned, TransportError},
};

/// A publishing channel. It is neither `Clone` nor usable from two tasks at once: lapin would attribute confirms to the
/// wrong messages.
pub(crate) struct PublishChannel {
    channel: Channel,
    clock: Arc<dyn Clock>,
}

/// A confirm that is on its way. Poll it to its end: one that is dropped stays in memory as long as its channel.
pub(crate) struct Confirm(PublisherConfirm);

impl PublishChannel {
    pub(super) async fn open(channel: Channel, clock: &Arc<dyn Clock>) -> Result<Self, TransportError> {
        answered(clock, "asking for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self { channel, clock: Arc::clone(clock) })
    }

    /// Writes messages to the socket, in their order, and returns when they are written: one result each. `mandatory` ones
    /// come back if no queue is bound for them.
    pub(crate) async fn write<'a>(
        &mut self,
        batch: impl Iterator<Item = (&'a Message, bool)>,
    ) -> Vec<Result<Confirm, TransportError>> {
        // All are polled once, in order, before any is waited for: one write for many.
        join_all(batch.map(|(message, mandatory)| publish(&self.channel, message, mandatory))).await
    }

    /// Closes. Nothing may be on its way.
    pub(crate) async fn close(self) -> Result<(), TransportError> {
        answered(&self.clock, "closing a channel", self.channel.close(200, "OK".into())).await
    }
}

async fn publish(channel: &Channel, message: &Message, mandatory: bool) -> Result<Confirm, TransportError> {
    let exchange = convert::short(&message.exchange)?;
    let routing_key = convert::short(&message.routing_key)?;
    let properties = convert::properties(&message.properties)?;
    let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
    let written = channel.basic_publish(exchange, routing_key, options, &message.body, properties).await;
    written.map(Confirm).map_err(|failed| error(&failed))
}

impl Confirm {
    /// What the broker says. The returned message may be another's than the confirmed one's: lapin hands each to the next
    /// confirm that comes.
    pub(crate) async fn outcome(self) -> Result<(Confirmed, Option<Returned>), TransportError> {
        let (confirmed, returned) = match self.0.await.map_err(|failed| error(&failed))? {
            Confirmation::Ack(returned) => (Confirmed::Ack, returned),
            Confirmation::Nack(returned) => (Confirmed::Nack, returned),
            Confirmation::NotRequested => return Err(TransportError::lost("the channel gives no confirms")),
        };
        let returned = returned.map(|message| Returned {
            message_id: message.delivery.properties.message_id().as_ref().map(ToString::to_string),
            exchange: message.delivery.exchange.to_string(),
            routing_key: message.delivery.routing_key.to_string(),
        });
        Ok((confirmed, returned))
    }
}
