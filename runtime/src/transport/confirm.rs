//! What the broker will say of a message that is on its way.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{Answer, amqp::AmqpConfirm};

/// What the broker will say of one message. Poll it to its end, or give up its channel.
///
/// [`Refused`](super::TransportError::Refused) means that the channel is gone over this message or over another on its way: 404
/// for an exchange that is not there, 406 for what the broker will not have. A returned message comes with its own confirm or
/// with an earlier one of its channel, at the latest with its own.
#[must_use = "what the broker says of a message says whether it is safe"]
pub struct Confirm(Kind);

enum Kind {
    /// Not in a box like all others: a thousand of them are on their way at a time.
    Amqp(AmqpConfirm),
    Later(BoxFuture<'static, Answer>),
    /// Until it is taken.
    Ready(Option<Answer>),
}

impl Confirm {
    /// The broker has answered.
    pub fn ready(answer: Answer) -> Self {
        Self(Kind::Ready(Some(answer)))
    }

    /// The broker will answer.
    pub fn later(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Kind::Later(Box::pin(answer)))
    }

    pub(super) fn amqp(confirm: AmqpConfirm) -> Self {
        Self(Kind::Amqp(confirm))
    }
}

impl Future for Confirm {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.0 {
            Kind::Amqp(confirm) => confirm.poll_unpin(context),
            Kind::Later(answer) => answer.poll_unpin(context),
            Kind::Ready(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl fmt::Debug for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirm")
    }
}
