//! What is made to do harm is data: it is read or it is not, and whatever it forges, its retries end.

use std::time::{Duration, Instant};

use proptest::{collection, prelude::*, sample::select};
use serde_json::Value;

use super::{
    copies::{failure, retried},
    headers_of, message, text,
};
use crate::{
    AnyEvent, DecodeError, EventSet, Format, RetryPolicy,
    envelope::{HeaderValue, Headers, Message, attempts_so_far, decode, headers},
    retry::Decision,
};

const FORMATS: [Option<Format>; 3] = [None, Some(Format::Default), Some(Format::Bare)];

/// Reads a message in every way, as far as its data goes.
fn read(message: &Message) {
    for format in FORMATS {
        let Ok(incoming) = decode(message, format) else { continue };
        let body = message.body.as_ptr_range();
        let data = incoming.data.as_ptr_range();
        assert!(incoming.data.is_empty() || (body.start <= data.start && data.end <= body.end), "data is of the body");
        if let Ok(event) = <AnyEvent as EventSet>::decode(incoming.payload()) {
            let read: Result<Value, DecodeError> = event.decode();
            assert!(read.is_ok() || !event.json().is_empty());
        }
        let _ = incoming.metadata();
    }
}

/// The number of runs that a message gets, whatever its headers say.
fn runs(mut message: Message, policy: &RetryPolicy) -> u32 {
    for run in 1.. {
        let attempt = attempts_so_far(&message).saturating_add(1);
        match policy.decide(attempt, 0.5) {
            Decision::GiveUp => return run,
            Decision::Immediately => panic!("the policy has none"),
            Decision::After(_) => message = retried(&message, attempt),
        }
        assert!(run < 100, "it runs without end");
    }
    unreachable!()
}

#[test]
fn depth_and_length_cost_no_more_than_their_bytes() {
    let began = Instant::now();
    let bodies = [
        "[".repeat(1_000_000),
        r#"{"a":"#.repeat(200_000),
        format!(r#"{{"eventType":"a","data":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000)),
        format!(r#"{{"eventType":"a","data":1,"metadata":{{"a":{}1{}}}}}"#, "[".repeat(10_000), "]".repeat(10_000)),
        format!(r#"{{"eventType":"a","data":{}}}"#, "9".repeat(1_000_000)),
        format!(
            r#"{{"eventType":"a","data":1,"metadata":{{"version":{},"id":0.{}1}}}}"#,
            "9".repeat(300_000),
            "0".repeat(300_000)
        ),
        format!(r#"{{"eventType":"a","data":1e{},"metadata":{{}}}}"#, "9".repeat(300_000)),
        format!(r#"{{{}"data":1}}"#, r#""eventType":"a","#.repeat(100_000)),
        format!(r#"{{"eventType":"a","data":1,"metadata":{{{}"id":"1"}}}}"#, r#""id":"2","#.repeat(100_000)),
        format!(r#"{{"eventType":"{}","data":1}}"#, r"\u0061".repeat(100_000)),
        "\"".repeat(1_000_000),
        "\\".repeat(1_000_000),
    ];
    for body in bodies {
        read(&message("a", body));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn numbers_beyond_all_are_no_facts() {
    for (version, read) in [
        ("1", Some(1)),
        ("-1", None),
        ("4294967296", None),
        ("1e9", None),
        ("18446744073709551616", None),
        ("\"7\"", Some(7)),
    ] {
        let body = format!(r#"{{"eventType":"a","data":1,"metadata":{{"version":{version}}}}}"#);
        assert_eq!(decode(&message("a", body), None).unwrap().metadata().unwrap().version(), read, "{version}");
    }
    // One that JSON allows and nobody holds breaks the metadata; as data it is the handler's to refuse.
    let huge = "1e999999";
    let in_metadata = message("a", format!(r#"{{"eventType":"a","data":1,"metadata":{{"a":{huge}}}}}"#));
    assert!(decode(&in_metadata, None).unwrap().metadata().is_err());
    let message = message("a", format!(r#"{{"eventType":"a","data":{huge}}}"#));
    assert!(decode(&message, None).unwrap().payload().decode::<f64>().is_err());
}

#[test]
fn of_two_members_of_one_name_the_last_counts() {
    let body = r#"{"eventType":"a","data":{"n":1,"n":2},"metadata":{"id":"1","id":"2","tenant":"a","tenant":"b"}}"#;
    let message = message("a", body);
    let incoming = decode(&message, None).unwrap();
    assert_eq!((incoming.known().id(), incoming.known().get("tenant")), (Some("2"), Some(&Value::from("b"))));
    assert_eq!(incoming.payload().decode::<Value>().unwrap()["n"], 2);
}

#[test]
fn what_the_properties_say_of_the_body_is_not_believed() {
    let body = r#"{"eventType":"a","data":1}"#;
    for content_type in
        ["text/plain", "application/xml", "application/json; charset=utf-16", "\0", "application/octet-stream"]
    {
        for content_encoding in ["gzip", "br", "utf-16", ""] {
            let mut message = message("the.key", body);
            message.properties.content_type = Some(content_type.into());
            message.properties.content_encoding = Some(content_encoding.into());
            assert_eq!(decode(&message, None).unwrap().name, "a");
        }
    }
}

#[test]
fn deaths_that_go_in_circles_are_set_aside() {
    let death = |queue: &str| {
        HeaderValue::Table(headers_of([
            ("queue", text(queue)),
            ("exchange", text(queue)),
            ("reason", text("expired")),
            ("count", HeaderValue::I64(i64::MAX)),
            ("routing-keys", HeaderValue::Array(vec![text(queue)])),
        ]))
    };
    let circle = (0..200).map(|n| death(["a", "b", "inventory.reserve_stock"][n % 3])).collect();
    let mut original = message("order_created", "1");
    original.properties.headers = headers_of([("x-death", HeaderValue::Array(circle))]);
    let copy = retried(&original, 1);
    assert!(!copy.properties.headers.contains_key("x-death"));
    assert_eq!(runs(original, &RetryPolicy::default().attempts(5).immediate(0)), 5);
}

#[test]
fn as_many_headers_as_a_frame_holds_are_read() {
    let began = Instant::now();
    // One takes three bytes at least.
    for count in [1, 17_000, 43_000] {
        let mut message = message("a", "1");
        message.properties.headers = (0..count).map(|n| (n.to_string(), HeaderValue::Void)).collect();
        assert_eq!(decode(&message, Some(Format::Bare)).unwrap().known().entries().len(), count);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// JSON that is nearly right.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "null", "true", "0", "-", "1e999999", "-0.0e-5", "18446744073709551616", "\\ud800",
            "\\u0000", " ", "{\"eventType\":\"a\",\"data\":", ",\"metadata\":{", "\"id\":", "\"version\":", "\"time\":", "\"data\":1",
            "\"eventType\":\"b\"", "\"9999-12-31T23:59:59Z\"", "\"-9999-01-01T00:00:00Z\"", "\"key\":", "\u{feff}", "\u{0}",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => collection::vec(any::<u8>(), 0..8),
        1 => (select(vec!["[", "{\"a\":", "]", "}"]), 1..10_001_usize).prop_map(|(text, times)| text.repeat(times).into_bytes()),
        1 => (1..400_usize).prop_map(|digits| "9".repeat(digits).into_bytes()),
    ];
    collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn any_value() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::I64),
        any::<u32>().prop_map(HeaderValue::U32),
        any::<i8>().prop_map(HeaderValue::I8),
        (0..10_i32).prop_map(HeaderValue::I32),
        any::<f64>().prop_map(HeaderValue::F64),
        any::<f32>().prop_map(HeaderValue::F32),
        (any::<u8>(), any::<u32>()).prop_map(|(scale, value)| HeaderValue::Decimal { scale, value }),
        any::<u64>().prop_map(HeaderValue::Timestamp),
        collection::vec(any::<u8>(), 0..300).prop_map(HeaderValue::Text),
        select(vec!["inventory.reserve_stock", "9999-12-31T23:59:59Z", "2999-01-01T00:00:00Z", "events", "3", ""])
            .prop_map(text),
        collection::vec(any::<u8>(), 0..30).prop_map(HeaderValue::Bytes),
        Just(HeaderValue::Void),
    ];
    leaf.prop_recursive(40, 60, 3, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..3).prop_map(HeaderValue::Array),
            collection::btree_map("[a-z]{0,3}", inner, 0..3).prop_map(HeaderValue::Table),
        ]
    })
}

fn any_headers() -> impl Strategy<Value = Headers> {
    let names = select(vec![
        headers::ATTEMPT,
        headers::REASON,
        headers::ERROR,
        headers::SERVICE,
        headers::HANDLER,
        headers::QUEUE,
        headers::FIRST_FAILURE,
        headers::LAST_FAILURE,
        headers::ORIGINAL_EXCHANGE,
        headers::ORIGINAL_ROUTING_KEY,
        headers::DROPPED,
        headers::VERSION,
        headers::TIME,
        headers::CAUSATION_ID,
        headers::KEY,
        headers::TRACE_PARENT,
        headers::TRACE_STATE,
        headers::CC,
        headers::BCC,
        headers::DELIVERY_COUNT,
        "x-death",
        "",
        "tenant",
    ]);
    collection::btree_map(names.prop_map(str::to_owned), any_value(), 0..12)
}

proptest! {
    #[test]
    fn nothing_that_comes_panics(
        body in nearly_json(),
        table in any_headers(),
        (kind, key) in (proptest::option::of(".{0,20}"), ".{0,20}"),
        (id, correlation_id, content_type) in any::<(Option<String>, Option<String>, Option<String>)>(),
        timestamp in any::<Option<u64>>(),
    ) {
        let mut message = message(&key, body);
        message.properties.headers = table;
        message.properties.kind = kind.map(Into::into);
        message.properties.message_id = id.map(Into::into);
        message.properties.correlation_id = correlation_id.map(Into::into);
        message.properties.content_type = content_type.map(Into::into);
        message.properties.timestamp = timestamp;
        read(&message);
        read(&retried(&message, 1));
    }

    #[test]
    fn whatever_is_forged_the_retries_end(table in any_headers(), by_the_ladder in any::<bool>(), attempts in 1..6_u32) {
        let policy = RetryPolicy::default().attempts(attempts).immediate(0);
        let key = if by_the_ladder { format!("{}queue.{}", "0.".repeat(28), failure(1).queue) } else { "order_created".to_owned() };
        let mut original = message(&key, "1");
        original.properties.headers = table;
        let said = attempts_so_far(&original);
        let runs = runs(original, &policy);
        // Never more than the policy has, never none, and fewer only for what came by the ladder and said so.
        prop_assert!((1..=attempts).contains(&runs));
        prop_assert_eq!(runs, attempts.saturating_sub(said).max(1));
        prop_assert!(by_the_ladder || said == 0);
    }
}
