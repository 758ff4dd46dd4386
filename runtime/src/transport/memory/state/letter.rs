//! A message as the broker holds it: what was published, which never changes, and what the broker has noted on it since.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use smol_str::SmolStr;

use super::{
    death::{Death, Deaths},
    refusal::Refusal,
};
use crate::envelope::{HeaderValue, Headers, Message, Properties, headers};

/// The largest body that RabbitMQ 4.0 takes as it comes.
pub(super) const LARGEST_BODY: usize = 16 * 1024 * 1024;
/// The user of every connection.
const USER: &str = "guest";
/// The longest time that a message or a queue can be told to live, in milliseconds: ten years.
pub(super) const LONGEST_TTL: i64 = 315_360_000_000;

/// A message in the broker. Queues share it; a dead letter is a new one around the same content.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    content: Arc<Content>,
    /// The exchange that it was last sent to.
    pub(super) exchange: SmolStr,
    routing_key: SmolStr,
    /// What else it is routed by: the keys in `CC` and `BCC`.
    further_keys: Arc<[SmolStr]>,
    /// Its own time to live in milliseconds; gone once it was dead-lettered.
    pub(super) ttl: Option<u64>,
    /// Where it died, `None` if it never did. What a client sent as `x-death` is not among it.
    deaths: Option<Arc<Deaths>>,
    /// How often quorum queues it died in saw it fail: rejected or lost with its channel. A quorum queue shows this on the
    /// first delivery of what was dead-lettered to it.
    pub(super) failures: u32,
}

/// What was published.
#[derive(Debug)]
struct Content {
    /// Without `BCC`.
    properties: Properties,
    /// The routing keys that nobody may see.
    blind: Vec<SmolStr>,
    body: Body,
}

/// A body, counted for as long as anything holds it.
#[derive(Debug)]
struct Body {
    bytes: Bytes,
    /// The bytes of all bodies of this broker.
    held: Arc<AtomicUsize>,
}

impl Body {
    fn new(bytes: Bytes, held: &Arc<AtomicUsize>) -> Self {
        held.fetch_add(bytes.len(), Ordering::Relaxed);
        Self { bytes, held: Arc::clone(held) }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Letter {
    /// Takes in what a client publishes; `held` counts its body.
    pub(super) fn new(message: Message, held: &Arc<AtomicUsize>) -> Result<Self, Refusal> {
        let Message { exchange, routing_key, mut properties, body } = message;
        let ttl = properties.expiration.as_deref().map(milliseconds).transpose()?;
        let copies = further_keys(&properties.headers, headers::CC)?;
        let blind = further_keys(&properties.headers, headers::BCC)?;
        if let Some(user) = properties.user_id.as_deref().filter(|user| *user != USER) {
            let text = format!("user_id property set to '{user}' but authenticated user was '{USER}'");
            return Err(Refusal::precondition_failed(&text));
        }
        properties.headers.remove(headers::BCC);
        let further_keys = match copies.is_empty() && blind.is_empty() {
            // All share one that is empty.
            true => Arc::default(),
            false => copies.into_iter().chain(blind.iter().cloned()).collect(),
        };
        let content = Arc::new(Content { properties, blind, body: Body::new(body, held) });
        Ok(Self { content, exchange, routing_key, further_keys, ttl, deaths: None, failures: 0 })
    }

    /// All that it is routed by, its routing key first.
    pub(super) fn routing_keys(&self) -> impl Iterator<Item = &SmolStr> {
        std::iter::once(&self.routing_key).chain(&*self.further_keys)
    }

    pub(super) fn headers(&self) -> &Headers {
        &self.content.properties.headers
    }

    /// The size of its body, which is what queues with a limit in bytes count.
    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.content.body.bytes.len()).unwrap_or(u64::MAX)
    }

    /// Whether it comes back to a queue without anybody having rejected it on the way.
    pub(super) fn circles_to(&self, queue: &str) -> bool {
        self.deaths.as_ref().is_some_and(|deaths| deaths.circle_to(queue))
    }

    /// Its dead letter: noted, without a time to live, on its way to another exchange; by its own routing keys, the blind
    /// ones too, unless the queue has a routing key for its dead.
    pub(super) fn dead(&self, death: &Death, exchange: &Arc<str>, routing_key: Option<&str>) -> Self {
        let mut seen: Vec<_> = self.routing_keys().cloned().collect();
        for blind in &self.content.blind {
            if let Some(position) = seen.iter().position(|key| key == blind) {
                seen.remove(position);
            }
        }
        let mut deaths = self.deaths.as_deref().cloned().unwrap_or_default();
        deaths.record(death, &self.exchange, seen.iter().map(ToString::to_string).collect(), self.ttl);
        Self {
            content: Arc::clone(&self.content),
            exchange: SmolStr::from(Arc::clone(exchange)),
            routing_key: routing_key.map_or_else(|| self.routing_key.clone(), SmolStr::from),
            further_keys: if routing_key.is_some() { Arc::default() } else { Arc::clone(&self.further_keys) },
            ttl: None,
            deaths: Some(Arc::new(deaths)),
            failures: self.failures,
        }
    }

    /// As a consumer gets it. A quorum queue says how often it was given out before, which hides what a client sent under
    /// that name; at nought it says nothing.
    pub(super) fn message(&self, delivery_count: u32) -> Message {
        let mut properties = self.content.properties.clone();
        // RabbitMQ writes the number that it read, so `+05` comes out as `5`.
        properties.expiration = self.ttl.map(|ttl| smol_str::format_smolstr!("{ttl}"));
        if let Some(deaths) = &self.deaths {
            deaths.write(&mut properties.headers);
        }
        if delivery_count > 0 {
            properties.headers.insert(headers::DELIVERY_COUNT.to_owned(), HeaderValue::I64(delivery_count.into()));
        }
        Message {
            exchange: self.exchange.clone(),
            routing_key: self.routing_key.clone(),
            properties,
            body: self.content.body.bytes.clone(),
        }
    }
}

/// The texts of an array in `CC` or `BCC`; what else is in the array is passed over.
fn further_keys(headers: &Headers, name: &str) -> Result<Vec<SmolStr>, Refusal> {
    match headers.get(name) {
        None => Ok(Vec::new()),
        Some(HeaderValue::Array(keys)) => Ok(keys.iter().filter_map(HeaderValue::as_text).map(SmolStr::from).collect()),
        Some(other) => {
            let kind = type_name(other);
            let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}");
            Err(Refusal::precondition_failed(&text))
        }
    }
}

/// RabbitMQ's name of a value's type.
fn type_name(value: &HeaderValue) -> &'static str {
    match value {
        HeaderValue::Bool(_) => "bool",
        HeaderValue::I8(_) => "byte",
        HeaderValue::U8(_) => "unsignedbyte",
        HeaderValue::I16(_) => "short",
        HeaderValue::U16(_) => "unsignedshort",
        HeaderValue::I32(_) => "signedint",
        HeaderValue::U32(_) => "unsignedint",
        HeaderValue::I64(_) => "long",
        HeaderValue::F32(_) => "float",
        HeaderValue::F64(_) => "double",
        HeaderValue::Decimal { .. } => "decimal",
        HeaderValue::Text(_) => "longstr",
        HeaderValue::Bytes(_) => "binary",
        HeaderValue::Timestamp(_) => "timestamp",
        HeaderValue::Array(_) => "array",
        HeaderValue::Table(_) => "table",
        HeaderValue::Void => "void",
    }
}

/// The property `expiration` as RabbitMQ reads it: a sign is allowed, a space is not.
fn milliseconds(expiration: &str) -> Result<u64, Refusal> {
    let refused = |why: &str| Refusal::precondition_failed(&format!("invalid expiration '{expiration}': {why}"));
    let unsigned = expiration.strip_prefix(['+', '-']).unwrap_or(expiration);
    let digits = unsigned.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(unsigned.len());
    let (digits, rest) = unsigned.split_at_checked(digits).unwrap_or_default();
    if digits.is_empty() {
        return Err(refused("no_integer"));
    }
    if !rest.is_empty() {
        return Err(refused(&format!("{{leftover_string,\"{rest}\"}}")));
    }
    let number = digits.trim_start_matches('0');
    if expiration.starts_with('-') && !number.is_empty() {
        return Err(refused(&format!("{{value_negative,-{number}}}")));
    }
    match format!("0{number}").parse::<i64>() {
        Ok(milliseconds) if milliseconds <= LONGEST_TTL => Ok(milliseconds.unsigned_abs()),
        _ => Err(refused(&format!("{{value_too_large,{number}}}"))),
    }
}
