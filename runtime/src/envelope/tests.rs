//! What every format promises, and what no message can break.

mod copies;
mod fitting;
mod formats;
mod hostile;
mod ids;
#[cfg(feature = "cli")]
mod moves;
mod reading;
mod times;

use bytes::Bytes;

use super::{HeaderValue, Headers, Message, Properties};

/// A message as a queue delivers it: sent to `events` with this routing key.
fn message(routing_key: &str, body: impl Into<Bytes>) -> Message {
    Message {
        exchange: "events".into(),
        routing_key: routing_key.into(),
        properties: Properties::default(),
        body: body.into(),
    }
}

fn headers_of<const N: usize>(headers: [(&str, HeaderValue); N]) -> Headers {
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(text: &str) -> HeaderValue {
    HeaderValue::text(text)
}
