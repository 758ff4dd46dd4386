//! Between our messages and lapin's.

use lapin::{
    BasicProperties,
    message::Delivery as LapinDelivery,
    types::{AMQPValue, DecimalValue, FieldArray, FieldTable, LongString, ShortString},
};
use smol_str::SmolStr;

use crate::{
    envelope::{HeaderValue, Headers, Message, Properties},
    topology::{Argument, Arguments},
    transport::{Delivery, TransportError},
};

/// A name as AMQP's short string. Longer names are refused long before; lapin would panic on one.
pub(super) fn short(text: &str) -> Result<ShortString, TransportError> {
    ShortString::try_new(text).map_err(|_| TransportError::Unwritable {
        text: format!("`{}…` is longer than the 255 bytes that AMQP has for it", text.get(..60).unwrap_or_default()),
    })
}

pub(super) fn delivery(delivery: LapinDelivery) -> Delivery {
    Delivery {
        tag: delivery.delivery_tag,
        redelivered: delivery.redelivered,
        message: Message {
            exchange: delivery.exchange.as_str().into(),
            routing_key: delivery.routing_key.as_str().into(),
            properties: properties_of(&delivery.properties),
            body: delivery.data.into(),
        },
    }
}

pub(super) fn properties_of(properties: &BasicProperties) -> Properties {
    let text = |value: &Option<ShortString>| value.as_ref().map(|text| SmolStr::new(text.as_str()));
    Properties {
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        headers: properties.headers().as_ref().map(headers_of).unwrap_or_default(),
        delivery_mode: *properties.delivery_mode(),
        priority: *properties.priority(),
        correlation_id: text(properties.correlation_id()),
        reply_to: text(properties.reply_to()),
        expiration: text(properties.expiration()),
        message_id: text(properties.message_id()),
        timestamp: *properties.timestamp(),
        kind: text(properties.kind()),
        user_id: text(properties.user_id()),
        app_id: text(properties.app_id()),
        cluster_id: text(properties.cluster_id()),
    }
}

fn headers_of(table: &FieldTable) -> Headers {
    table.into_iter().map(|(name, value)| (name.to_string(), header_of(value))).collect()
}

fn header_of(value: &AMQPValue) -> HeaderValue {
    match value {
        AMQPValue::Boolean(value) => HeaderValue::Bool(*value),
        AMQPValue::ShortShortInt(value) => HeaderValue::I8(*value),
        AMQPValue::ShortShortUInt(value) => HeaderValue::U8(*value),
        AMQPValue::ShortInt(value) => HeaderValue::I16(*value),
        AMQPValue::ShortUInt(value) => HeaderValue::U16(*value),
        AMQPValue::LongInt(value) => HeaderValue::I32(*value),
        AMQPValue::LongUInt(value) => HeaderValue::U32(*value),
        AMQPValue::LongLongInt(value) => HeaderValue::I64(*value),
        AMQPValue::Float(value) => HeaderValue::F32(*value),
        AMQPValue::Double(value) => HeaderValue::F64(*value),
        AMQPValue::DecimalValue(decimal) => HeaderValue::Decimal { scale: decimal.scale, value: decimal.value },
        AMQPValue::ShortString(text) => HeaderValue::text(text.as_str()),
        AMQPValue::LongString(text) => HeaderValue::Text(text.as_bytes().to_vec()),
        AMQPValue::FieldArray(values) => HeaderValue::Array(values.as_slice().iter().map(header_of).collect()),
        AMQPValue::Timestamp(seconds) => HeaderValue::Timestamp(*seconds),
        AMQPValue::FieldTable(table) => HeaderValue::Table(headers_of(table)),
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(bytes.as_slice().to_vec()),
        AMQPValue::Void => HeaderValue::Void,
    }
}

pub(super) fn properties(properties: &Properties) -> Result<BasicProperties, TransportError> {
    let mut all = BasicProperties::default();
    macro_rules! texts {
        ($($field:ident $with:ident)*) => {$(
            if let Some(value) = &properties.$field {
                all = all.$with(short(value)?);
            }
        )*};
    }
    texts! {
        content_type with_content_type
        content_encoding with_content_encoding
        correlation_id with_correlation_id
        reply_to with_reply_to
        expiration with_expiration
        message_id with_message_id
        kind with_type
        user_id with_user_id
        app_id with_app_id
        cluster_id with_cluster_id
    }
    if let Some(mode) = properties.delivery_mode {
        all = all.with_delivery_mode(mode);
    }
    if let Some(priority) = properties.priority {
        all = all.with_priority(priority);
    }
    if let Some(timestamp) = properties.timestamp {
        all = all.with_timestamp(timestamp);
    }
    if !properties.headers.is_empty() {
        all = all.with_headers(table(&properties.headers)?);
    }
    Ok(all)
}

fn table(headers: &Headers) -> Result<FieldTable, TransportError> {
    let mut table = FieldTable::default();
    for (name, header) in headers {
        table.insert(short(name)?, value(header)?);
    }
    Ok(table)
}

fn value(header: &HeaderValue) -> Result<AMQPValue, TransportError> {
    Ok(match header {
        HeaderValue::Bool(value) => AMQPValue::Boolean(*value),
        HeaderValue::I8(value) => AMQPValue::ShortShortInt(*value),
        HeaderValue::U8(value) => AMQPValue::ShortShortUInt(*value),
        HeaderValue::I16(value) => AMQPValue::ShortInt(*value),
        HeaderValue::U16(value) => AMQPValue::ShortUInt(*value),
        HeaderValue::I32(value) => AMQPValue::LongInt(*value),
        HeaderValue::U32(value) => AMQPValue::LongUInt(*value),
        HeaderValue::I64(value) => AMQPValue::LongLongInt(*value),
        HeaderValue::F32(value) => AMQPValue::Float(*value),
        HeaderValue::F64(value) => AMQPValue::Double(*value),
        HeaderValue::Decimal { scale, value } => AMQPValue::DecimalValue(DecimalValue { scale: *scale, value: *value }),
        HeaderValue::Text(bytes) => AMQPValue::LongString(LongString::from(bytes.clone())),
        HeaderValue::Bytes(bytes) => AMQPValue::ByteArray(bytes.clone().into()),
        HeaderValue::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        HeaderValue::Array(values) => {
            AMQPValue::FieldArray(FieldArray::from(values.iter().map(value).collect::<Result<Vec<_>, _>>()?))
        }
        HeaderValue::Table(headers) => AMQPValue::FieldTable(table(headers)?),
        HeaderValue::Void => AMQPValue::Void,
    })
}

pub(super) fn arguments(arguments: &Arguments) -> Result<FieldTable, TransportError> {
    let mut table = FieldTable::default();
    for (name, argument) in arguments {
        let value = match argument {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Integer(number) => AMQPValue::LongLongInt(*number),
            Argument::Bool(value) => AMQPValue::Boolean(*value),
        };
        table.insert(short(name)?, value);
    }
    Ok(table)
}
