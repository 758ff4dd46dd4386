//! A channel that publishes with confirms.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use lapin::{
    Channel, Confirmation, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};

use super::{connection::answered, convert, error};
use crate::{
    envelope::Message,
    time::Clock,
    transport::{Answer, Confirm, Confirmed, PublishChannel, Returned, TransportError},
};

/// How many futures `join_all` keeps in place; of more it makes a list, with an allocation for each.
const IN_PLACE: usize = 30;

/// A publishing channel. It is neither `Clone` nor usable from two tasks at once: lapin would attribute confirms to the
/// wrong messages.
pub(super) struct Publishing {
    channel: Channel,
    clock: Arc<dyn Clock>,
}

impl Publishing {
    pub(super) async fn open(channel: Channel, clock: &Arc<dyn Clock>) -> Result<Self, TransportError> {
        answered(clock, "asking for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self { channel, clock: Arc::clone(clock) })
    }
}

impl PublishChannel for Publishing {
    fn write<'a>(&'a mut self, batch: Vec<(&'a Message, bool)>) -> BoxFuture<'a, Vec<Result<Confirm, TransportError>>> {
        let channel = &self.channel;
        // All are polled once, in order, before any is waited for: one write for many.
        Box::pin(async move {
            let all = batch
                .chunks(IN_PLACE)
                .map(|batch| join_all(batch.iter().map(|&(message, mandatory)| publish(channel, message, mandatory))));
            join_all(all).await.into_iter().flatten().collect()
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>> {
        Box::pin(async move { answered(&self.clock, "closing a channel", self.channel.close(200, "OK".into())).await })
    }
}

async fn publish(channel: &Channel, message: &Message, mandatory: bool) -> Result<Confirm, TransportError> {
    let exchange = convert::short(&message.exchange)?;
    let routing_key = convert::short(&message.routing_key)?;
    let properties = convert::properties(&message.properties)?;
    let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
    let written = channel.basic_publish(exchange, routing_key, options, &message.body, properties).await;
    match written {
        Ok(confirm) => Ok(Confirm::amqp(AmqpConfirm(confirm))),
        Err(failed) => Err(error(&failed)),
    }
}

/// What the broker will say. The returned message may be another's than the confirmed one's: lapin hands each to the next
/// confirm that comes. A confirm that is dropped before its end stays in memory as long as its channel.
pub(crate) struct AmqpConfirm(PublisherConfirm);

impl Future for AmqpConfirm {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        self.0.poll_unpin(context).map(answer)
    }
}

fn answer(confirmed: lapin::Result<Confirmation>) -> Answer {
    let (confirmed, returned) = match confirmed.map_err(|failed| error(&failed))? {
        Confirmation::Ack(returned) => (Confirmed::Ack, returned),
        Confirmation::Nack(returned) => (Confirmed::Nack, returned),
        Confirmation::NotRequested => return Err(TransportError::lost("the channel gives no confirms")),
    };
    let returned = returned.map(|message| Returned {
        message_id: message.delivery.properties.message_id().as_ref().map(|id| id.as_str().into()),
        exchange: message.delivery.exchange.as_str().into(),
        routing_key: message.delivery.routing_key.as_str().into(),
    });
    Ok((confirmed, returned))
}
