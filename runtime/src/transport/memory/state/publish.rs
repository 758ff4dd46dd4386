//! What a publisher does.

use std::{sync::Arc, time::SystemTime};

use super::{
    State,
    letter::{LARGEST_BODY, Letter},
    refusal::Refusal,
};
use crate::{envelope::Message, transport::Confirmed};

/// What became of a message.
#[derive(Debug)]
pub(crate) struct Published {
    /// It was mandatory and no queue is bound for it (312 NO_ROUTE). RabbitMQ acknowledges it nevertheless.
    pub(crate) returned: bool,
    pub(crate) confirmed: Confirmed,
}

impl State {
    /// Takes a message to all queues that it is routed to, each once.
    pub(crate) fn publish(&mut self, message: Message, mandatory: bool, now: SystemTime) -> Result<Published, Refusal> {
        self.advance(now);
        let size = message.body.len();
        if size > LARGEST_BODY {
            let text = format!("message size {size} is larger than configured max size {LARGEST_BODY}");
            return Err(Refusal::precondition_failed(&text));
        }
        if !self.exchanges.contains(&message.exchange) {
            return Err(Refusal::no_exchange(&message.exchange));
        }
        let letter = Arc::new(Letter::new(message, &self.held)?);
        let queues = self.routed(&letter);
        let returned = mandatory && queues.is_empty();
        let mut confirmed = Confirmed::Ack;
        for queue in queues {
            if !self.store(&queue, &letter, now) {
                confirmed = Confirmed::Nack;
            }
        }
        self.move_dead(now);
        Ok(Published { returned, confirmed })
    }
}
