//! What is written is read again, in both formats.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use expect_test::expect;
use proptest::{collection, option, prelude::*};
use serde_json::{Value, json};

use super::{headers_of, text};
use crate::{
    AnyEvent, EventSet, Format, Metadata,
    envelope::{HeaderValue, Message, Properties, decode, encode},
};

fn written(name: &str, data: &Value, metadata: &Metadata, format: Format) -> Message {
    let event = AnyEvent::new(name, data).unwrap();
    let mut event_type = event.event_type();
    event_type.version = metadata.version.unwrap_or(1);
    encode(&event, &event_type, metadata.clone(), format, "events".into()).unwrap()
}

fn full_metadata() -> Metadata {
    Metadata {
        id: Some("0197".into()),
        source: Some("shop".into()),
        time: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_750_000_000_123)),
        version: Some(2),
        correlation_id: Some("c-1".into()),
        causation_id: Some("c-2".into()),
        key: Some("7".into()),
        trace_parent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        trace_state: Some("vendor=1".to_owned()),
        entries: BTreeMap::from([("tenant".to_owned(), json!("acme")), ("tries".to_owned(), json!([1, 2.5, null]))]),
    }
}

#[test]
fn the_default_format_on_the_wire() {
    let message = written("order_created", &json!({ "order_id": 7 }), &full_metadata(), Format::Default);
    expect![[r#"{"eventType":"order_created","data":{"order_id":7},"metadata":{"id":"0197","source":"shop","time":"2025-06-15T15:06:40.123Z","correlationId":"c-1","causationId":"c-2","key":"7","version":2,"tenant":"acme","tries":[1,2.5,null]}}"#]]
    .assert_eq(std::str::from_utf8(&message.body).unwrap());
    let properties = Properties {
        content_type: Some("application/json".into()),
        headers: headers_of([
            ("traceparent", text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
            ("tracestate", text("vendor=1")),
        ]),
        delivery_mode: Some(2),
        correlation_id: Some("c-1".into()),
        message_id: Some("0197".into()),
        timestamp: Some(1_750_000_000),
        kind: Some("order_created".into()),
        app_id: Some("shop".into()),
        ..Properties::default()
    };
    assert_eq!(message.properties, properties);
    assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("events", "order_created"));
}

#[test]
fn the_bare_format_on_the_wire() {
    let message = written("order_created", &json!({ "order_id": 7 }), &full_metadata(), Format::Bare);
    assert_eq!(&message.body[..], br#"{"order_id":7}"#);
    let names: Vec<&str> = message.properties.headers.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "rabbitry-causation-id",
            "rabbitry-key",
            "rabbitry-time",
            "rabbitry-version",
            "tenant",
            "traceparent",
            "tracestate",
            "tries"
        ]
    );
    let properties = &message.properties;
    assert_eq!(properties.headers["rabbitry-time"].as_text(), Some("2025-06-15T15:06:40.123Z"));
    assert_eq!(properties.headers["rabbitry-version"], HeaderValue::I64(2));
    assert_eq!((properties.delivery_mode, properties.kind.as_deref()), (Some(2), Some("order_created")));
}

#[test]
fn an_envelope_without_metadata_is_an_envelope() {
    let message = written("pinged", &json!(null), &Metadata::default(), Format::Default);
    assert_eq!(&message.body[..], br#"{"eventType":"pinged","data":null,"metadata":{}}"#);
    let incoming = decode(&message, None).unwrap();
    assert_eq!((&*incoming.name, incoming.data), ("pinged", &b"null"[..]));
    assert_eq!(*incoming.metadata().unwrap(), Metadata::default());
}

#[test]
fn a_text_too_long_for_a_property_is_in_the_envelope_alone() {
    let long = "é".repeat(128);
    let metadata = Metadata { id: Some(long.as_str().into()), correlation_id: Some(long.into()), ..full_metadata() };
    let message = written("order_created", &json!({}), &metadata, Format::Default);
    assert_eq!(message.properties.message_id, None);
    assert_eq!(message.properties.correlation_id, None);
    assert_eq!(*decode(&message, None).unwrap().metadata().unwrap(), metadata);
}

#[test]
fn an_entry_never_becomes_what_somebody_acts_on() {
    let names = ["CC", "BCC", "x-death", "rabbitry-attempt", "traceparent", "id", "key"];
    let entries = names.into_iter().chain(["X-Tenant"]).map(|name| (name.to_owned(), json!("forged"))).collect();
    let metadata = Metadata { id: Some("true".into()), entries, ..Metadata::default() };

    let bare = written("order_created", &json!({}), &metadata, Format::Bare);
    let headers: Vec<&str> = bare.properties.headers.keys().map(String::as_str).collect();
    assert_eq!(headers, ["X-Tenant", "id", "key"]);

    let default = written("order_created", &json!({}), &metadata, Format::Default);
    let body: Value = serde_json::from_slice(&default.body).unwrap();
    assert_eq!((&body["metadata"]["id"], &body["metadata"]["key"]), (&json!("true"), &Value::Null));
    assert_eq!(String::from_utf8_lossy(&default.body).matches("\"id\"").count(), 1);
}

#[test]
fn a_header_s_names_are_cut_between_characters() {
    let long = "é".repeat(200);
    let entries = BTreeMap::from([("table".to_owned(), json!({ long: 1 }))]);
    let message = written("pinged", &json!({}), &Metadata { entries, ..Metadata::default() }, Format::Bare);
    let HeaderValue::Table(table) = &message.properties.headers["table"] else { panic!("no table") };
    assert_eq!(table.keys().map(String::len).collect::<Vec<_>>(), [254]);
}

#[test]
fn an_entry_nests_no_deeper_than_headers_are_read() {
    let nested = |depth: usize| -> Value {
        serde_json::from_str(&format!("{}1{}", "[".repeat(depth), "]".repeat(depth))).unwrap()
    };
    let sent = |value: Value| {
        let entries = BTreeMap::from([("deep".to_owned(), value)]);
        let message = written("pinged", &json!({}), &Metadata { entries, ..Metadata::default() }, Format::Bare);
        decode(&message, Some(Format::Bare)).unwrap().known().get("deep").cloned().unwrap()
    };
    assert_eq!(sent(nested(32)), nested(32));
    let mut innermost = &sent(nested(35));
    for _ in 0..32 {
        innermost = &innermost[0];
    }
    assert_eq!(innermost, &json!("[[[1]]]"));
}

#[test]
fn a_message_shows_its_body_s_size_only() {
    let shown = format!("{:?}", written("paid", &json!({ "number": 4111 }), &Metadata::default(), Format::Bare));
    assert!(shown.contains("paid") && shown.contains("bytes: 15") && !shown.contains("4111"), "{shown}");
}

/// Values that both formats can hold: AMQP has no integers above `i64`, JSON no exact binary fractions beyond 15 digits.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map("\\PC{0,8}", inner, 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let id = || option::of("\\PC{1,40}");
    let any_text = || option::of(any::<String>());
    let entries = collection::btree_map("[a-zA-Zé:. /]{1,12}", values(), 0..5);
    // To the end of the year 9999, in milliseconds.
    let time = option::of(0..253_402_300_799_999u64);
    let ids = (id(), id(), id(), any_text(), any_text());
    (ids, time, option::of(any::<u32>()), any_text(), any_text(), entries).prop_map(
        |((id, source, correlation_id, causation_id, key), time, version, trace_parent, trace_state, mut entries)| {
            entries.retain(|name, _| crate::event::check_entry(name).is_ok());
            Metadata {
                id: id.map(Into::into),
                source: source.map(Into::into),
                time: time.map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms)),
                version,
                correlation_id: correlation_id.map(Into::into),
                causation_id: causation_id.map(Into::into),
                key: key.map(Into::into),
                trace_parent,
                trace_state,
                entries,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        name in "[a-z_]{1,12}(\\.[a-z_]{1,8}){0,3}",
        data in values(),
        metadata in metadata(),
        bare in any::<bool>(),
    ) {
        let format = if bare { Format::Bare } else { Format::Default };
        let message = written(&name, &data, &metadata, format);
        for pinned in [None, Some(format)] {
            let incoming = decode(&message, pinned).unwrap();
            prop_assert_eq!(&*incoming.name, &name);
            prop_assert_eq!(incoming.metadata().unwrap(), &metadata);
            prop_assert_eq!(incoming.data, serde_json::to_vec(&data).unwrap());
        }
    }
}
