//! Copies for a retry or for the dead letters: what they keep, what they take off, what they say.

use std::time::{Duration, SystemTime};

use smol_str::SmolStr;

use super::{headers_of, message, text};
use crate::{
    Reason,
    envelope::{Failure, HeaderValue, Limits, Message, Properties, attempts_so_far, copy_of},
};

pub(super) const LIMITS: Limits = Limits { frame_max: 131_072 };
const QUEUE: &str = "inventory.reserve_stock";

pub(super) fn failure(attempt: u32) -> Failure {
    Failure {
        reason: Reason::Error,
        error: "out of stock".to_owned(),
        service: "inventory".to_owned(),
        handler: "reserve_stock".to_owned(),
        queue: QUEUE.to_owned(),
        attempt,
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(attempt)),
    }
}

/// The copy that the ladder brings back to the queue.
pub(super) fn retried(message: &Message, attempt: u32) -> Message {
    let mut copy = copy_of(
        message,
        &failure(attempt),
        "rabbitry.v1.delay.00".to_owned(),
        format!("{}1.queue.{QUEUE}", "0.".repeat(27)),
        || "fresh".into(),
        LIMITS,
    );
    assert_eq!(copy.exchange, "rabbitry.v1.delay.00");
    copy.exchange = "rabbitry.v1.delay.out".into();
    copy
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.properties.headers.get(name).and_then(HeaderValue::as_text)
}

fn delivered() -> Message {
    let mut message = message("order_created", r#"{"order_id":7}"#);
    message.properties = Properties {
        content_type: Some("application/json".into()),
        content_encoding: Some("identity".into()),
        headers: headers_of([
            ("tenant", text("acme")),
            ("X-Request", text("capitals are not the broker's")),
            ("CC", HeaderValue::Array(vec![text("stranger")])),
            ("BCC", text("stranger")),
            ("x-death", HeaderValue::Array(vec![])),
            ("x-delivery-count", HeaderValue::I64(2)),
            ("traceparent", text("00-1-2-01")),
        ]),
        delivery_mode: Some(1),
        priority: Some(3),
        correlation_id: Some("c".into()),
        reply_to: Some("r".into()),
        expiration: Some("1000".into()),
        message_id: Some("m".into()),
        timestamp: Some(4),
        kind: Some("order_created".into()),
        user_id: Some("guest".into()),
        app_id: Some("shop".into()),
        cluster_id: Some("c".into()),
    };
    message
}

#[test]
fn a_copy_keeps_all_but_what_the_broker_acts_on() {
    let original = delivered();
    let copy = retried(&original, 1);
    let expected = Properties {
        headers: headers_of([
            ("tenant", text("acme")),
            ("X-Request", text("capitals are not the broker's")),
            ("traceparent", text("00-1-2-01")),
            ("rabbitry-original-CC", HeaderValue::Array(vec![text("stranger")])),
            ("rabbitry-original-BCC", text("stranger")),
            ("rabbitry-original-x-death", HeaderValue::Array(vec![])),
            ("rabbitry-original-expiration", text("1000")),
            ("rabbitry-original-user-id", text("guest")),
            ("rabbitry-original-delivery-mode", HeaderValue::I64(1)),
            ("rabbitry-original-exchange", text("events")),
            ("rabbitry-original-routing-key", text("order_created")),
            ("rabbitry-attempt", HeaderValue::I64(1)),
            ("rabbitry-reason", text("error")),
            ("rabbitry-error", text("out of stock")),
            ("rabbitry-service", text("inventory")),
            ("rabbitry-handler", text("reserve_stock")),
            ("rabbitry-queue", text(QUEUE)),
            ("rabbitry-first-failure", text("1970-01-01T00:00:01.000Z")),
            ("rabbitry-last-failure", text("1970-01-01T00:00:01.000Z")),
        ]),
        delivery_mode: Some(2),
        expiration: None,
        user_id: None,
        ..original.properties.clone()
    };
    assert_eq!(copy.properties, expected);
    assert_eq!(copy.body, original.body);
}

#[test]
fn a_later_copy_remembers_the_first_place_and_failure() {
    let mut first = retried(&delivered(), 1);
    // On its way back the broker added marks of its own.
    first.properties.headers.insert("x-death".to_owned(), text("ladder"));
    first.properties.expiration = Some("5".into());
    let second = retried(&first, 2);
    assert_eq!(second.properties.headers["rabbitry-attempt"], HeaderValue::I64(2));
    assert_eq!(header(&second, "rabbitry-original-exchange"), Some("events"));
    assert_eq!(header(&second, "rabbitry-original-routing-key"), Some("order_created"));
    assert_eq!(header(&second, "rabbitry-first-failure"), Some("1970-01-01T00:00:01.000Z"));
    assert_eq!(header(&second, "rabbitry-last-failure"), Some("1970-01-01T00:00:02.000Z"));
    assert_eq!(header(&second, "rabbitry-original-expiration"), Some("1000"));
    assert_eq!(second.properties.headers["rabbitry-original-x-death"], HeaderValue::Array(vec![]));
    assert!(!second.properties.headers.contains_key("x-death"));
    assert_eq!(second.properties.expiration, None);
    assert_eq!(second.properties.headers.len(), first.properties.headers.len() - 1);
}

#[test]
fn a_message_without_an_id_gets_one_that_stays() {
    for id in [None, Some(String::new())] {
        let mut original = message("order_created", "1");
        original.properties.message_id = id.map(Into::into);
        let first = retried(&original, 1);
        assert_eq!(first.properties.message_id.as_deref(), Some("fresh"));
        let again = copy_of(&first, &failure(2), String::new(), String::new(), || "another".into(), LIMITS);
        assert_eq!(again.properties.message_id.as_deref(), Some("fresh"));
    }
    // What is no short string cannot be a property.
    let long = || "x".repeat(256).into();
    let copy = copy_of(&message("a", "1"), &failure(1), String::new(), String::new(), long, LIMITS);
    assert_eq!(copy.properties.message_id, None);
}

#[test]
fn an_error_is_cut_between_characters() {
    for (error, length) in [("é".repeat(2000), 2048), (format!("a{}", "é".repeat(2000)), 2047)] {
        let failure = Failure { error: error.clone(), ..failure(1) };
        let copy = copy_of(&message("a", "1"), &failure, String::new(), String::new(), SmolStr::default, LIMITS);
        let kept = header(&copy, "rabbitry-error").unwrap();
        assert_eq!(kept.len(), length);
        assert!(error.starts_with(kept));
    }
}

#[test]
fn attempts_are_counted_by_our_own_copies() {
    let mut message = message("order_created", "1");
    for attempt in 1..5 {
        assert_eq!(attempts_so_far(&message), attempt - 1);
        message = retried(&message, attempt);
    }
    assert_eq!(attempts_so_far(&message), 4);
}

#[test]
fn another_way_or_another_queue_counts_no_attempts() {
    let retried = retried(&message("order_created", "1"), 3);
    // A dead letter that somebody moved back to the events, or to another queue's retries.
    for routing_key in ["order_created", "", QUEUE, &format!("{}queue.audit.all", "0.".repeat(28))] {
        let moved = Message { routing_key: routing_key.into(), ..retried.clone() };
        assert_eq!(attempts_so_far(&moved), 0, "{routing_key}");
    }
    // A queue whose name ends like ours is another.
    let mut other = retried.clone();
    other.properties.headers.insert("rabbitry-queue".to_owned(), text("reserve_stock"));
    assert_eq!(attempts_so_far(&other), 0);
    other.properties.headers.insert("rabbitry-queue".to_owned(), text(""));
    assert_eq!(attempts_so_far(&other), 0);
}

#[test]
fn a_forged_count_counts_as_none() {
    let mut message = retried(&message("order_created", "1"), 1);
    let forgeries = [
        HeaderValue::I64(-1),
        HeaderValue::I64(-7),
        HeaderValue::I64((1 << 32) + 3),
        HeaderValue::I64(i64::MIN),
        HeaderValue::I64(i64::MAX),
        HeaderValue::U32(u32::MAX),
        HeaderValue::I8(-1),
        HeaderValue::F64(3.0),
        HeaderValue::Bool(true),
        HeaderValue::Void,
        text("3"),
        text(&"9".repeat(100_000)),
        HeaderValue::Array(vec![HeaderValue::I64(3)]),
    ];
    for forged in forgeries {
        message.properties.headers.insert("rabbitry-attempt".to_owned(), forged.clone());
        assert_eq!(attempts_so_far(&message), 0, "{forged:?}");
        // The copy says what is so.
        let copy = retried(&message, 1);
        assert_eq!(attempts_so_far(&copy), 1);
    }
    for (count, read) in
        [(HeaderValue::U8(3), 3), (HeaderValue::I32(4), 4), (HeaderValue::U32(u32::MAX - 1), u32::MAX - 1)]
    {
        message.properties.headers.insert("rabbitry-attempt".to_owned(), count);
        assert_eq!(attempts_so_far(&message), read);
    }
}

#[test]
fn a_forged_beginning_is_written_anew() {
    let forged = HeaderValue::Table(headers_of([("a", text("b"))]));
    let cases = [
        headers_of([("rabbitry-original-exchange", forged.clone())]),
        headers_of([("rabbitry-original-exchange", text("only one of the two"))]),
        headers_of([("rabbitry-original-routing-key", text("only one of the two"))]),
        headers_of([("rabbitry-original-exchange", text("e")), ("rabbitry-original-routing-key", forged)]),
        headers_of([
            ("rabbitry-original-exchange", text("e")),
            ("rabbitry-original-routing-key", text(&"k".repeat(256))),
        ]),
    ];
    for mut headers in cases {
        headers.insert("rabbitry-first-failure".to_owned(), text("2000-01-01T00:00:00Z"));
        headers.insert("rabbitry-original-expiration".to_owned(), text("forged"));
        headers.insert("rabbitry-dropped-headers".to_owned(), text("forged"));
        let mut original = message("order_created", "1");
        original.properties.headers = headers;
        original.properties.expiration = Some("1000".into());
        let copy = retried(&original, 1);
        assert_eq!(header(&copy, "rabbitry-original-exchange"), Some("events"));
        assert_eq!(header(&copy, "rabbitry-original-routing-key"), Some("order_created"));
        assert_eq!(header(&copy, "rabbitry-original-expiration"), Some("1000"));
        assert_eq!(header(&copy, "rabbitry-first-failure"), Some("1970-01-01T00:00:01.000Z"));
        // The way in writes it, too.
        assert_eq!(header(&copy, "rabbitry-dropped-headers"), Some("forged"));
    }
}

#[test]
fn a_forged_time_of_the_first_failure_is_written_anew() {
    for forged in [text("long ago"), text(&"2".repeat(50_000)), HeaderValue::I64(1)] {
        let mut first = retried(&message("order_created", "1"), 1);
        first.properties.headers.insert("rabbitry-first-failure".to_owned(), forged);
        assert_eq!(header(&retried(&first, 2), "rabbitry-first-failure"), Some("1970-01-01T00:00:02.000Z"));
    }
}

#[test]
fn every_reason_has_its_word() {
    let words = [
        (Reason::Error, "error"),
        (Reason::Rejected, "rejected"),
        (Reason::Timeout, "timeout"),
        (Reason::Panic, "panic"),
        (Reason::Undecodable, "undecodable"),
        (Reason::Abandoned, "abandoned"),
        (Reason::Unpublishable, "unpublishable"),
    ];
    for (reason, word) in words {
        assert_eq!(reason.to_string(), word);
    }
}
