//! The event that all contenders publish and handle, and how those without an envelope of their own write and read it:
//! the same bytes as rabbitry's.

use std::time::SystemTime;

use rabbitry::event;
use serde::{Deserialize, Serialize};

/// What all publish and handle.
#[event("placed")]
pub(crate) struct Placed {
    #[key]
    pub(crate) order_id: u64,
    /// When it should have been sent, in nanoseconds on the process's own clock; 0 where nobody measures latency.
    pub(crate) sent: u64,
    /// What makes it as long as it is to be.
    pub(crate) note: String,
}

/// What a handler answers with.
#[event("answered")]
pub(crate) struct Answered {
    #[key]
    pub(crate) order_id: u64,
}

/// What nobody says.
#[event("never")]
pub(crate) struct Never {}

/// How many bytes the body of an event has whose note is empty, about.
const REST: usize = 250;

/// Events whose bodies have about `size` bytes.
pub(crate) fn placed(order_id: u64, size: usize) -> Placed {
    Placed { order_id, sent: 0, note: "x".repeat(size.saturating_sub(REST)) }
}

/// The default envelope, read without a copy.
#[derive(Deserialize)]
pub(crate) struct Envelope<D> {
    pub(crate) data: D,
}

/// The event, read without a copy.
#[derive(Deserialize)]
pub(crate) struct PlacedRef<'a> {
    pub(crate) order_id: u64,
    pub(crate) sent: u64,
    #[serde(borrow)]
    pub(crate) note: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
struct Outgoing<'a, D> {
    #[serde(rename = "eventType")]
    event_type: &'a str,
    data: &'a D,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    id: &'a str,
    source: &'a str,
    time: jiff::Timestamp,
    version: u32,
    correlation_id: &'a str,
    key: String,
}

/// An event as rabbitry would write it.
pub(crate) struct Written {
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) timestamp: u64,
    pub(crate) body: Vec<u8>,
}

/// Who says it, for the contenders that have no name.
pub(crate) const SOURCE: &str = "bench";

/// Writes an event by hand.
///
/// # Errors
/// serde's; these types have none.
pub(crate) fn write(event_type: &str, key: u64, data: &impl Serialize) -> anyhow::Result<Written> {
    let id = uuid::Uuid::now_v7().to_string();
    let milliseconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let time = jiff::Timestamp::from_millisecond(i64::try_from(milliseconds)?)?;
    let metadata = Metadata { id: &id, source: SOURCE, time, version: 1, correlation_id: &id, key: key.to_string() };
    let mut body = Vec::with_capacity(512);
    serde_json::to_writer(&mut body, &Outgoing { event_type, data, metadata })?;
    Ok(Written { timestamp: u64::try_from(milliseconds / 1000)?, id, body })
}
