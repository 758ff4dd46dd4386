//! A message as AMQP 0-9-1 has it, without any client library's types.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use smol_str::SmolStr;

/// The delivery mode of a message that survives a restart of the broker.
pub(crate) const PERSISTENT: u8 = 2;

/// A message on its way to an exchange, or as it came from a queue.
///
/// Its texts are [`SmolStr`]s: the short ones need no allocation, and the others are shared by all copies.
#[derive(Clone, Default, PartialEq)]
pub struct Message {
    /// The exchange that it goes to, or was published to last.
    pub exchange: SmolStr,
    /// Its routing key there.
    pub routing_key: SmolStr,
    /// Its properties.
    pub properties: Properties,
    /// Its body.
    pub body: Bytes,
}

/// Shows the body's size only: it may hold what must not reach a log.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("properties", &self.properties)
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// The fourteen properties of `basic`.
///
/// RabbitMQ takes any bytes for texts and for the names of headers. Those that are no UTF-8 come as question marks, one for each
/// byte; so do those of an exchange's name and of a routing key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// The MIME type of the body.
    pub content_type: Option<SmolStr>,
    /// How the body is encoded.
    pub content_encoding: Option<SmolStr>,
    /// Entries by name.
    pub headers: Headers,
    /// 2 for a message that survives a restart of the broker.
    pub delivery_mode: Option<u8>,
    /// From 0 to 9.
    pub priority: Option<u8>,
    /// What it belongs to.
    pub correlation_id: Option<SmolStr>,
    /// Where an answer goes.
    pub reply_to: Option<SmolStr>,
    /// After how many milliseconds in a queue it expires, as a text.
    pub expiration: Option<SmolStr>,
    /// What tells it from others.
    pub message_id: Option<SmolStr>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// AMQP's `type`: the event's name.
    pub kind: Option<SmolStr>,
    /// The user who published it, checked by the broker.
    pub user_id: Option<SmolStr>,
    /// The application that published it.
    pub app_id: Option<SmolStr>,
    /// Unused.
    pub cluster_id: Option<SmolStr>,
}

/// Headers by name.
pub type Headers = BTreeMap<String, HeaderValue>;

/// How many lists and tables inside one another a header is read and written as. A frame can hold 26,000, enough to exhaust
/// any thread's stack.
pub(crate) const DEPTH: usize = 32;

/// A value in a table of headers or of arguments: every type that RabbitMQ sends.
///
/// Lists and tables come 32 deep at most. On RabbitMQ, what lies deeper comes as [`Bytes`](Self::Bytes), as it was encoded.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderValue {
    /// Yes or no.
    Bool(bool),
    /// A number of 8 bits.
    I8(i8),
    /// A number of 8 bits without a sign.
    U8(u8),
    /// A number of 16 bits.
    I16(i16),
    /// A number of 16 bits without a sign.
    U16(u16),
    /// A number of 32 bits.
    I32(i32),
    /// A number of 32 bits without a sign.
    U32(u32),
    /// A number of 64 bits.
    I64(i64),
    /// A floating-point number of 32 bits.
    F32(f32),
    /// A floating-point number of 64 bits.
    F64(f64),
    /// A decimal number: the value with so many decimal places.
    Decimal {
        /// How many digits stand behind the point.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// AMQP's long string: mostly text, but any bytes can come.
    Text(Vec<u8>),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Seconds since 1970.
    Timestamp(u64),
    /// A list.
    Array(Vec<HeaderValue>),
    /// A table within.
    Table(Headers),
    /// Nothing.
    Void,
}

impl HeaderValue {
    pub(crate) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().as_bytes().to_vec())
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Any of the integer types: senders differ in which they use.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::I8(n) => Some(n.into()),
            Self::U8(n) => Some(n.into()),
            Self::I16(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::I32(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::I64(n) => Some(n),
            _ => None,
        }
    }

    /// The bytes that it takes on the wire, its type's letter included.
    pub(crate) fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Bool(_) | Self::I8(_) | Self::U8(_) => 1,
            Self::I16(_) | Self::U16(_) => 2,
            Self::I32(_) | Self::U32(_) | Self::F32(_) => 4,
            Self::I64(_) | Self::F64(_) | Self::Timestamp(_) => 8,
            Self::Decimal { .. } => 5,
            Self::Text(bytes) | Self::Bytes(bytes) => 4 + bytes.len(),
            Self::Array(values) => 4 + values.iter().map(Self::encoded_len).sum::<usize>(),
            Self::Table(table) => encoded_len(table),
            Self::Void => 0,
        }
    }
}

/// The bytes that a table takes on the wire.
pub(crate) fn encoded_len(table: &Headers) -> usize {
    4 + table.iter().map(|(name, value)| header_len(name, value)).sum::<usize>()
}

/// The bytes that one header takes on the wire.
pub(crate) fn header_len(name: &str, value: &HeaderValue) -> usize {
    1 + name.len() + value.encoded_len()
}

impl Properties {
    /// Those that AMQP has as short strings.
    pub(crate) fn texts(&self) -> [&Option<SmolStr>; 10] {
        [
            &self.content_type,
            &self.content_encoding,
            &self.correlation_id,
            &self.reply_to,
            &self.expiration,
            &self.message_id,
            &self.kind,
            &self.user_id,
            &self.app_id,
            &self.cluster_id,
        ]
    }

    /// The bytes of the content header's frame on the wire, an upper bound: it must fit one frame.
    pub(crate) fn encoded_len(&self) -> usize {
        let texts = self.texts();
        // Frame header, class, weight, body size, flags, end of frame; the two octets and the timestamp.
        const FIXED: usize = 7 + 2 + 2 + 8 + 2 + 1 + 2 + 8;
        FIXED
            + texts.iter().map(|text| text.as_ref().map_or(0, |text| 1 + text.len())).sum::<usize>()
            + encoded_len(&self.headers)
    }
}

/// What one of AMQP's short strings holds, in bytes: properties and the names of headers are such.
pub(crate) const SHORT_STRING: usize = 255;

/// A text as a short string; `None` if it does not fit.
pub(crate) fn short(text: SmolStr) -> Option<SmolStr> {
    (text.len() <= SHORT_STRING).then_some(text)
}

/// The beginning of a text, of at most so many bytes, cut between characters.
pub(crate) fn first_bytes(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A time as the property `timestamp`.
pub(crate) fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// The property `timestamp` as a time; `None` where it is beyond what a clock can say.
pub(crate) fn time(seconds: u64) -> Option<SystemTime> {
    // Senders that count milliseconds would put us into the year 50,000; the largest time that can be written is in 9999.
    const END_OF_9999: u64 = 253_402_300_799;
    (seconds <= END_OF_9999).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}
