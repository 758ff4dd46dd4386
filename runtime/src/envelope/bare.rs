//! The format without an envelope: the body is the data, the rest is in properties and headers.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    HeaderValue, Headers, Incoming, Message, headers,
    message::{SHORT_STRING, first_bytes},
    metadata_of, name_of,
};
use crate::event::Metadata;

/// How deep a header's tables and arrays are read, as deep as serde_json reads a text. A frame can hold thousands of arrays
/// inside one another, enough to exhaust a thread's stack.
const DEPTH: u32 = 128;

pub(super) fn decode(message: &Message) -> Incoming<'_> {
    let table = &message.properties.headers;
    let text = |name| table.get(name).and_then(HeaderValue::as_text);
    let mut metadata = metadata_of(message);
    metadata.time = text(headers::TIME).and_then(headers::parse_time).or(metadata.time);
    metadata.version =
        table.get(headers::VERSION).and_then(HeaderValue::as_integer).and_then(|version| version.try_into().ok());
    metadata.causation_id = text(headers::CAUSATION_ID).map(str::to_owned);
    metadata.key = text(headers::KEY).map(str::to_owned);
    metadata.entries = table
        .iter()
        .filter(|(name, _)| !headers::is_ours_or_the_brokers(name))
        .map(|(name, value)| (name.clone(), to_json(value, DEPTH)))
        .collect();
    Incoming { name: Cow::Borrowed(name_of(message)), metadata, data: &message.body }
}

pub(super) fn encode(metadata: &Metadata, table: &mut Headers) {
    let mut set = |name: &str, value: Option<HeaderValue>| {
        if let Some(value) = value {
            table.insert(name.to_owned(), value);
        }
    };
    set(headers::TIME, metadata.time.and_then(headers::format_time).map(HeaderValue::text));
    set(headers::VERSION, metadata.version.map(|version| HeaderValue::I64(version.into())));
    set(headers::CAUSATION_ID, metadata.causation_id.as_ref().map(HeaderValue::text));
    set(headers::KEY, metadata.key.as_ref().map(HeaderValue::text));
    for (name, value) in &metadata.entries {
        // A received entry can have any name. As a header it must not become one that somebody acts on.
        if name.len() <= SHORT_STRING && !headers::is_ours_or_the_brokers(name) {
            set(name, Some(from_json(value)));
        }
    }
}

fn to_json(value: &HeaderValue, depth: u32) -> Value {
    let Some(inner) = depth.checked_sub(1) else { return Value::Null };
    match value {
        HeaderValue::Bool(value) => Value::Bool(*value),
        HeaderValue::F32(value) => Value::from(*value),
        HeaderValue::F64(value) => Value::from(*value),
        HeaderValue::Timestamp(value) => Value::from(*value),
        HeaderValue::Decimal { scale, value } => Value::from(f64::from(*value) / 10f64.powi((*scale).into())),
        HeaderValue::Text(bytes) | HeaderValue::Bytes(bytes) => Value::from(String::from_utf8_lossy(bytes)),
        HeaderValue::Array(values) => values.iter().map(|value| to_json(value, inner)).collect(),
        HeaderValue::Table(table) => table.iter().map(|(name, value)| (name.clone(), to_json(value, inner))).collect(),
        HeaderValue::Void => Value::Null,
        integer => integer.as_integer().map_or(Value::Null, Value::from),
    }
}

fn from_json(value: &Value) -> HeaderValue {
    match value {
        Value::Null => HeaderValue::Void,
        Value::Bool(value) => HeaderValue::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => HeaderValue::I64(integer),
            (None, Some(float)) => HeaderValue::F64(float),
            (None, None) => HeaderValue::text(number.to_string()),
        },
        Value::String(text) => HeaderValue::text(text),
        Value::Array(values) => HeaderValue::Array(values.iter().map(from_json).collect()),
        Value::Object(members) => {
            let short = |name: &String| first_bytes(name, SHORT_STRING).to_owned();
            HeaderValue::Table(members.iter().map(|(name, value)| (short(name), from_json(value))).collect())
        }
    }
}
