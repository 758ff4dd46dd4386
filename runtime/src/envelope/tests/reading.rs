//! How a message of anybody's is read.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{headers_of, message, text};
use crate::{
    AnyEvent, DecodeError, EventSet, Format, Metadata,
    envelope::{HeaderValue, decode},
};

/// The name and the data that a body is read as, by a message with the routing key `the.key` and perhaps a `type`.
fn read(body: &str, kind: Option<&str>) -> String {
    let mut message = message("the.key", body.to_owned());
    message.properties.kind = kind.map(Into::into);
    match decode(&message, None) {
        Ok(incoming) => match incoming.metadata() {
            Ok(_) => format!("{} {}", incoming.name, String::from_utf8_lossy(incoming.data)),
            Err(error) => format!("error: {error}"),
        },
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn the_default_format_is_known_by_its_members() {
    let envelopes = [
        (r#"{"eventType":"a","data":1}"#, "a 1"),
        (r#"{"eventType":"a","data":null}"#, "a null"),
        (r#"{"data":[1, 2],"eventType":"a"}"#, "a [1, 2]"),
        (r#"{"eventType":"a","data":{"x":"y"},"metadata":{}}"#, r#"a {"x":"y"}"#),
        (r#"{"eventType":"a","data":1,"metadata":null}"#, "a 1"),
        ("\r\n\t {\"eventType\" : \"a\" , \"data\" : 1 } \n", "a 1"),
        (r#"{"eventType":"\u0061","data":1}"#, "a 1"),
        (r#"{"\u0065ventType":"a","data":1}"#, "a 1"),
        (r#"{"eventType":"größe","data":1}"#, "größe 1"),
    ];
    for (body, expected) in envelopes {
        assert_eq!(read(body, Some("the_type")), expected, "{body}");
    }
}

#[test]
fn all_else_is_data_without_an_envelope() {
    let bodies = [
        "",
        " ",
        "{",
        "{}",
        "null",
        "[]",
        "7",
        "not JSON",
        // A member is missing, of another type, too many, or there twice.
        r#"{"eventType":"a"}"#,
        r#"{"data":1}"#,
        r#"{"data":1,"metadata":{}}"#,
        r#"{"eventType":7,"data":1}"#,
        r#"{"eventType":null,"data":1}"#,
        r#"{"eventType":["a"],"data":1}"#,
        r#"{"eventType":"a","data":1,"extra":1}"#,
        r#"{"eventType":"a","data":1,"Metadata":{}}"#,
        r#"{"eventtype":"a","data":1}"#,
        r#"{"eventType":"a","eventType":"b","data":1}"#,
        r#"{"eventType":"a","data":1,"data":2}"#,
        r#"{"eventType":"a","data":1,"metadata":{},"metadata":{}}"#,
        // Not one object, or none at all.
        r#"["a",1]"#,
        r#"["a",1,{}]"#,
        r#"{"eventType":"a","data":1} {}"#,
        r#"{"eventType":"a","data":1"#,
        r#"{"eventType":"a","data":1,}"#,
        r#"{"eventType":"a","data":}"#,
        "\u{feff}{\"eventType\":\"a\",\"data\":1}",
    ];
    for body in bodies {
        assert_eq!(read(body, Some("the_type")), format!("the_type {body}"));
        assert_eq!(read(body, None), format!("the.key {body}"));
        assert_eq!(read(body, Some("")), format!("the.key {body}"));
    }
}

#[test]
fn metadata_that_is_no_object_breaks_an_envelope() {
    for metadata in ["7", "\"text\"", "[]", "true"] {
        let error = read(&format!(r#"{{"eventType":"a","data":1,"metadata":{metadata}}}"#), None);
        assert!(error.starts_with("error: the body is not an envelope with an object as its `metadata`"), "{error}");
    }
}

#[test]
fn a_pinned_format_is_the_only_one_tried() {
    let envelope = message("the.key", r#"{"eventType":"a","data":1}"#);
    let bare = message("the.key", r#"{"order_id":1}"#);
    assert_eq!(decode(&envelope, Some(Format::Bare)).unwrap().name, "the.key");
    assert_eq!(decode(&envelope, Some(Format::Bare)).unwrap().data, &envelope.body[..]);
    assert_eq!(decode(&envelope, Some(Format::Default)).unwrap().name, "a");
    let error = decode(&bare, Some(Format::Default)).unwrap_err();
    assert!(matches!(&error, DecodeError::Body { .. }), "{error}");
    assert!(error.to_string().contains("unknown field `order_id`"), "{error}");
}

#[test]
fn a_retried_message_keeps_its_name() {
    let ladder_key = format!("{}queue.inventory.reserve_stock", "0.".repeat(28));
    let mut message = message(&ladder_key, "1");
    message.properties.headers = headers_of([("rabbitry-original-routing-key", text("order_created"))]);
    assert_eq!(decode(&message, None).unwrap().name, "order_created");
    message.properties.kind = Some("the_type".into());
    assert_eq!(decode(&message, None).unwrap().name, "the_type");
    // Of another type it is not ours.
    message.properties.kind = None;
    for forged in [HeaderValue::I64(1), HeaderValue::Void, HeaderValue::Text(vec![0xff])] {
        message.properties.headers = headers_of([("rabbitry-original-routing-key", forged)]);
        assert_eq!(decode(&message, None).unwrap().name, ladder_key);
    }
}

fn metadata_of(metadata: &Value, edit: impl FnOnce(&mut super::Properties)) -> Metadata {
    let body = json!({ "eventType": "a", "data": 1, "metadata": metadata }).to_string();
    let mut message = message("a", body);
    message.properties.message_id = Some("property-id".into());
    message.properties.app_id = Some("property-app".into());
    message.properties.correlation_id = Some("property-correlation".into());
    message.properties.timestamp = Some(10);
    edit(&mut message.properties);
    decode(&message, None).unwrap().metadata().unwrap().clone()
}

#[test]
fn the_envelope_wins_over_the_properties() {
    let said = json!({
        "id": "i", "source": "s", "time": "1970-01-01T00:00:20.5Z", "version": 3, "correlationId": "co",
        "causationId": "ca", "key": "k", "tenant": "t",
    });
    let metadata = metadata_of(&said, |properties| {
        properties.headers = headers_of([
            ("traceparent", text("p")),
            ("tracestate", text("t")),
            // Those belong to the format without an envelope.
            ("rabbitry-key", text("another")),
            ("rabbitry-version", HeaderValue::I64(9)),
            ("tenant", text("another")),
        ]);
    });
    assert_eq!(metadata.id(), Some("i"));
    assert_eq!(metadata.source(), Some("s"));
    assert_eq!(metadata.time().map(since_1970), Some(20_500));
    assert_eq!(metadata.version(), Some(3));
    assert_eq!(metadata.correlation_id(), Some("co"));
    assert_eq!(metadata.causation_id(), Some("ca"));
    assert_eq!(metadata.key(), Some("k"));
    assert_eq!((metadata.trace_parent(), metadata.trace_state()), (Some("p"), Some("t")));
    assert_eq!(metadata.entries().len(), 1);
    assert_eq!(metadata.get("tenant"), Some(&json!("t")));
}

#[test]
fn the_properties_say_what_the_envelope_does_not() {
    // Members of a type that ours never have count as not said.
    for said in [json!({}), json!({ "id": {}, "source": [], "time": "soon", "correlationId": true, "version": "x" })] {
        let metadata = metadata_of(&said, |_| {});
        assert_eq!(metadata.id(), Some("property-id"));
        assert_eq!(metadata.source(), Some("property-app"));
        assert_eq!(metadata.correlation_id(), Some("property-correlation"));
        assert_eq!(metadata.time().map(since_1970), Some(10_000));
        assert_eq!((metadata.version(), metadata.causation_id(), metadata.key()), (None, None, None));
        assert!(metadata.entries().is_empty());
    }
}

#[test]
fn an_empty_id_is_none() {
    let metadata = metadata_of(&json!({ "id": "", "correlationId": "", "key": "" }), |properties| {
        properties.message_id = Some("".into());
        properties.correlation_id = Some("".into());
    });
    assert_eq!((metadata.id(), metadata.correlation_id()), (None, None));
    // A key may be empty: it is the event's.
    assert_eq!(metadata.key(), Some(""));
}

#[test]
fn a_name_an_id_or_a_trace_has_an_end() {
    let just = "é".repeat(512);
    let metadata = metadata_of(&json!({ "id": just, "correlationId": just }), |_| {});
    assert_eq!((metadata.id(), metadata.correlation_id()), (Some(&*just), Some(&*just)));
    let long = just + "i";
    let metadata = metadata_of(&json!({ "id": long, "correlationId": long }), |properties| {
        properties.headers =
            headers_of([("traceparent", text(&"t".repeat(2048))), ("tracestate", text(&"t".repeat(2049)))]);
    });
    assert_eq!((metadata.id(), metadata.correlation_id()), (Some("property-id"), Some("property-correlation")));
    assert_eq!(metadata.trace_state(), None);
    assert_eq!(metadata.trace_parent().map(str::len), Some(2048));
    let name = |bytes| read(&json!({ "eventType": "a".repeat(bytes), "data": 1 }).to_string(), None);
    assert_eq!(name(255), format!("{} 1", "a".repeat(255)));
    assert_eq!(
        name(256),
        "error: the body is not an envelope with an event's name as its `eventType`: it has 256 bytes, and no name has more than 255"
    );
}

#[test]
fn an_error_says_no_more_of_a_body_than_can_be_read() {
    let error =
        decode(&message("a", format!(r#"{{"{}":1}}"#, "é".repeat(100_000))), Some(Format::Default)).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("unknown field `éé") && error.len() < 3000, "{} bytes", error.len());
}

#[test]
fn numbers_are_read_as_ids_and_keys() {
    let metadata = metadata_of(&json!({ "id": 7, "key": 8, "version": "2" }), |_| {});
    assert_eq!((metadata.id(), metadata.key(), metadata.version()), (Some("7"), Some("8"), Some(2)));
    for version in [json!(-1), json!(4_294_967_296u64), json!(1.5)] {
        assert_eq!(metadata_of(&json!({ "version": version }), |_| {}).version(), None);
    }
}

#[test]
fn a_timestamp_in_milliseconds_is_no_time() {
    let metadata = metadata_of(&json!({}), |properties| properties.timestamp = Some(1_750_000_000_000));
    assert_eq!(metadata.time(), None);
    let metadata = metadata_of(&json!({}), |properties| properties.timestamp = Some(u64::MAX));
    assert_eq!(metadata.time(), None);
}

#[test]
fn headers_of_strangers_are_entries() {
    let mut message = message("a", "1");
    message.properties.headers = headers_of([
        ("tenant", text("acme")),
        ("X-Tenant", text("acme")),
        ("decimal", HeaderValue::Decimal { scale: 2, value: 1250 }),
        ("nan", HeaderValue::F64(f64::NAN)),
        ("void", HeaderValue::Void),
        ("when", HeaderValue::Timestamp(u64::MAX)),
        ("bytes", HeaderValue::Bytes(vec![0x61, 0xff])),
        ("array", HeaderValue::Array(vec![HeaderValue::U8(1), HeaderValue::Table(headers_of([("n", text("m"))]))])),
        ("x-death", text("the broker's")),
        ("CC", text("the broker's")),
        ("traceparent", text("the trace's")),
        ("rabbitry-attempt", HeaderValue::I64(1)),
        ("rabbitry-version", HeaderValue::I8(-1)),
        ("rabbitry-key", HeaderValue::I8(1)),
    ]);
    let metadata = decode(&message, None).unwrap().metadata().unwrap().clone();
    let expected = json!({
        "tenant": "acme", "X-Tenant": "acme", "decimal": 12.5, "nan": null, "void": null, "when": u64::MAX,
        "bytes": "a\u{fffd}", "array": [1, { "n": "m" }],
    });
    assert_eq!(serde_json::to_value(metadata.entries()).unwrap(), expected);
    assert_eq!((metadata.version(), metadata.key()), (None, None));
}

#[test]
fn nesting_exhausts_no_stack() {
    let deep = 100_000;
    let arrays = "[".repeat(deep) + &"]".repeat(deep);
    let objects = r#"{"a":"#.repeat(deep) + "1" + &"}".repeat(deep);
    for hostile in [&arrays, &objects] {
        // As data it is carried along, and refused by whoever takes it apart.
        let body = format!(r#"{{"eventType":"a","data":{hostile}}}"#);
        let message_with_it = message("a", body);
        let incoming = decode(&message_with_it, None).unwrap();
        let event = <AnyEvent as EventSet>::decode(incoming.payload());
        assert!(event.unwrap().decode::<Value>().is_err());
        // As metadata it breaks the envelope, for those who look at it.
        let message_with_it = message("a", format!(r#"{{"eventType":"a","data":1,"metadata":{{"b":{hostile}}}}}"#));
        assert!(decode(&message_with_it, None).unwrap().metadata().is_err());
        // Without an envelope, or anywhere else in one, likewise.
        for body in [hostile.clone(), format!(r#"{{"eventType":{hostile}}}"#), format!(r#"{{"a":{hostile}}}"#)] {
            let message = message("a", body);
            assert_eq!(decode(&message, None).unwrap().name, "a");
        }
    }
}

#[test]
fn nested_headers_are_read_to_a_depth() {
    let mut value = HeaderValue::I64(1);
    for _ in 0..1000 {
        value = HeaderValue::Array(vec![value]);
    }
    let mut message = message("a", "1");
    message.properties.headers = headers_of([("deep", value)]);
    let metadata = decode(&message, None).unwrap().metadata().unwrap().clone();
    let (mut value, mut depth) = (metadata.get("deep").unwrap(), 0);
    while let Some(inner) = value.get(0) {
        (value, depth) = (inner, depth + 1);
    }
    assert_eq!((value, depth), (&Value::Null, 32));
}

fn since_1970(time: std::time::SystemTime) -> u128 {
    time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_millis()
}

proptest! {
    #[test]
    fn no_body_panics(body in any::<Vec<u8>>(), prefix in "(\\{\"eventType\":\"a\",\"data\":)?", kind in any::<String>()) {
        let mut message = message("a", [prefix.into_bytes(), body].concat());
        message.properties.kind = Some(kind.into());
        for pinned in [None, Some(Format::Default), Some(Format::Bare)] {
            if let Ok(incoming) = decode(&message, pinned) {
                let _ = <AnyEvent as EventSet>::decode(incoming.payload());
            }
        }
    }
}
