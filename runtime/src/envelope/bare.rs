//! The format without an envelope: the body is the data, the rest is in properties and headers.

use std::borrow::Cow;

use serde_json::Value;
use smol_str::SmolStr;

use super::{
    HeaderValue, Headers, Incoming, Message, headers,
    incoming::Said,
    message::{DEPTH, SHORT_STRING, first_bytes},
    name_of,
};
use crate::event::Metadata;

pub(super) fn decode(message: &Message) -> Incoming<'_> {
    Incoming::new(message, Cow::Borrowed(name_of(message)), &message.body, Said::InHeaders)
}

/// What the headers say.
pub(super) fn metadata(message: &Message) -> Metadata {
    let table = &message.properties.headers;
    let text = |name| table.get(name).and_then(HeaderValue::as_text);
    let version = table.get(headers::VERSION).and_then(HeaderValue::as_integer);
    let entries = table.iter().filter(|(name, _)| !headers::is_ours_or_the_brokers(name));
    Metadata {
        time: text(headers::TIME).and_then(headers::parse_time),
        version: version.and_then(|version| version.try_into().ok()),
        causation_id: text(headers::CAUSATION_ID).map(SmolStr::from),
        key: text(headers::KEY).map(SmolStr::from),
        entries: entries.map(|(name, value)| (name.clone(), to_json(value, DEPTH))).collect(),
        ..Metadata::default()
    }
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
            set(name, Some(from_json(value, DEPTH)));
        }
    }
}

fn to_json(value: &HeaderValue, depth: usize) -> Value {
    match (value, depth.checked_sub(1)) {
        // Bytes there may be what the transport left of lists and tables.
        (HeaderValue::Array(_) | HeaderValue::Table(_) | HeaderValue::Bytes(_), None) => Value::Null,
        (HeaderValue::Array(values), Some(depth)) => values.iter().map(|value| to_json(value, depth)).collect(),
        (HeaderValue::Table(table), Some(depth)) => {
            table.iter().map(|(name, value)| (name.clone(), to_json(value, depth))).collect()
        }
        (HeaderValue::Bool(value), _) => Value::Bool(*value),
        (HeaderValue::F32(value), _) => Value::from(*value),
        (HeaderValue::F64(value), _) => Value::from(*value),
        (HeaderValue::Timestamp(value), _) => Value::from(*value),
        (HeaderValue::Decimal { scale, value }, _) => Value::from(f64::from(*value) / 10f64.powi((*scale).into())),
        (HeaderValue::Text(bytes) | HeaderValue::Bytes(bytes), _) => Value::from(String::from_utf8_lossy(bytes)),
        (HeaderValue::Void, _) => Value::Null,
        (integer, _) => integer.as_integer().map_or(Value::Null, Value::from),
    }
}

/// What nests deeper than others read is written as the text of its JSON.
fn from_json(value: &Value, depth: usize) -> HeaderValue {
    match (value, depth.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => HeaderValue::text(value.to_string()),
        (Value::Array(values), Some(depth)) => {
            HeaderValue::Array(values.iter().map(|value| from_json(value, depth)).collect())
        }
        (Value::Object(members), Some(depth)) => {
            let short = |name: &String| first_bytes(name, SHORT_STRING).to_owned();
            HeaderValue::Table(members.iter().map(|(name, value)| (short(name), from_json(value, depth))).collect())
        }
        (Value::Null, _) => HeaderValue::Void,
        (Value::Bool(value), _) => HeaderValue::Bool(*value),
        (Value::Number(number), _) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => HeaderValue::I64(integer),
            (None, Some(float)) => HeaderValue::F64(float),
            (None, None) => HeaderValue::text(number.to_string()),
        },
        (Value::String(text), _) => HeaderValue::text(text),
    }
}
