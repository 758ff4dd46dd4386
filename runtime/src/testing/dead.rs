//! The dead letters that a test's services left.

use std::sync::Arc;

use super::Test;
use crate::{
    DecodeError, EventSet,
    envelope::{self, HeaderValue, Message, headers},
    transport::{Connection, TransportError},
};

/// How many dead letters of a queue a test reads.
const MOST: u64 = 1_000;

/// An event that was given up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The event's name; of a message that cannot be read, its original routing key or the queue.
    pub event: String,
    /// The event's id.
    pub id: Option<String>,
    /// Why it was given up: one word. `None` for what the broker itself gave up.
    pub reason: Option<String>,
    /// The error and what caused it, in words.
    pub error: Option<String>,
    /// How often the handler ran on it.
    pub attempts: Option<u32>,
    /// The queue that it came from.
    pub queue: String,
    message: Message,
}

impl DeadLetter {
    /// The event.
    ///
    /// # Errors
    /// It is not one of these, or cannot be read.
    pub fn decode<E: EventSet>(&self) -> Result<E, DecodeError> {
        E::decode(envelope::decode(&self.message, None)?.payload())
    }

    fn of(queue: &str, message: Message) -> Self {
        let text = |name: &str| message.properties.headers.get(name).and_then(HeaderValue::as_text).map(str::to_owned);
        let attempts = message.properties.headers.get(headers::ATTEMPT).and_then(HeaderValue::as_integer);
        let incoming = envelope::decode(&message, None).ok();
        let event = incoming.as_ref().map(|incoming| incoming.name.clone().into_owned());
        Self {
            event: event
                .or_else(|| text(headers::ORIGINAL_ROUTING_KEY))
                .unwrap_or_else(|| message.routing_key.to_string()),
            id: message.properties.message_id.as_ref().map(ToString::to_string),
            reason: text(headers::REASON),
            error: text(headers::ERROR),
            attempts: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
            queue: queue.to_owned(),
            message,
        }
    }
}

impl Test {
    /// Looks at all dead letters, and leaves them where they are.
    pub(super) async fn look_at_the_dead(&self) -> Result<Vec<DeadLetter>, TransportError> {
        let clock = self.ground.clock();
        let connection = self.ground.transport().connect("test looking", &clock).await?;
        let mut letters = Vec::new();
        for queue in self.ours.work() {
            let messages = look(&connection, &format!("{queue}.dead")).await?;
            letters.extend(messages.into_iter().map(|message| DeadLetter::of(queue, message)));
        }
        connection.close().await;
        Ok(letters)
    }
}

async fn look(connection: &Arc<dyn Connection>, queue: &str) -> Result<Vec<Message>, TransportError> {
    let count = connection.count(queue).await?.min(MOST);
    let mut messages = Vec::new();
    if count == 0 {
        return Ok(messages);
    }
    let mut channel = connection.consume_channel(queue.to_owned()).await?;
    channel.consume(u16::try_from(count).unwrap_or(u16::MAX)).await?;
    while (messages.len() as u64) < count {
        match channel.next().await? {
            Some(delivery) => messages.push(delivery.message),
            None => break,
        }
    }
    // Closing gives them back.
    channel.close().await?;
    Ok(messages)
}
