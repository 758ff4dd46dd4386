//! Copies fit one frame and ours fit their limit, whatever headers a message comes with.

use std::collections::BTreeSet;

use proptest::{collection, prelude::*};

use super::{copies::failure, headers_of, message, text};
use crate::{
    Reason,
    envelope::{
        Failure, HeaderValue, Headers, Limits, Message, copy_of, headers, message::header_len, too_long_for_a_frame,
    },
};

const RESERVE: usize = 4096;
const OURS: usize = 8192;

fn copy(message: &Message, failure: &Failure, frame_max: usize) -> Message {
    let id = || "fresh".into();
    copy_of(message, failure, "to".to_owned(), "key".to_owned(), id, Limits { frame_max })
}

/// The bytes of the headers that copies made of themselves. Those of the format without an envelope are the event's.
fn ours(copy: &Message) -> usize {
    let events = [headers::VERSION, headers::TIME, headers::CAUSATION_ID, headers::KEY];
    let set_by_us = |name: &str| {
        name.starts_with("rabbitry-original-")
            || ["attempt", "reason", "error", "service", "handler", "queue", "first-failure", "last-failure"]
                .iter()
                .any(|end| name.strip_prefix("rabbitry-") == Some(end))
            || name == "rabbitry-dropped-headers"
    };
    let headers = copy.properties.headers.iter();
    let ours = headers.filter(|(name, _)| set_by_us(name) && !events.contains(&name.as_str()));
    ours.map(|(name, value)| header_len(name, value)).sum()
}

fn dropped(copy: &Message) -> Vec<&str> {
    let names = copy.properties.headers.get("rabbitry-dropped-headers").and_then(HeaderValue::as_text);
    names.map(|names| names.split(", ").collect()).unwrap_or_default()
}

#[track_caller]
fn check_fits(copy: &Message, frame_max: usize) {
    assert!(copy.properties.encoded_len() <= frame_max - RESERVE, "{} bytes", copy.properties.encoded_len());
    assert!(ours(copy) <= OURS, "{} bytes of ours", ours(copy));
    for name in copy.properties.headers.keys() {
        assert!(!name.starts_with("x-") && name != "CC" && name != "BCC", "{name}");
        assert!(name.len() <= 255, "{name}");
    }
}

#[test]
fn what_fits_is_kept() {
    let mut original = message("a", "1");
    original.properties.headers = headers_of([("big", text(&"b".repeat(100_000))), ("x-small", text("s"))]);
    let copy = copy(&original, &failure(1), 131_072);
    check_fits(&copy, 131_072);
    assert!(dropped(&copy).is_empty());
    assert!(copy.properties.headers.contains_key("big"));
}

#[test]
fn a_copy_that_just_fits_loses_nothing() {
    let mut original = message("a", "1");
    original.properties.headers = headers_of([("big", text(&"b".repeat(1000)))]);
    let length = copy(&original, &failure(1), 131_072).properties.encoded_len();
    let fits = copy(&original, &failure(1), length + RESERVE);
    assert!(dropped(&fits).is_empty());
    let one_less = copy(&original, &failure(1), length + RESERVE - 1);
    assert_eq!(dropped(&one_less)[0], "big");
}

#[test]
fn the_largest_of_its_own_headers_go_first() {
    let mut original = message("a", "1");
    let sized = |kib: usize| text(&"b".repeat(kib * 1024));
    original.properties.headers = headers_of([
        ("tenant", text("acme")),
        ("a", sized(50)),
        ("b", sized(68)),
        ("c", sized(10)),
        ("traceparent", text("t")),
    ]);
    let copy = copy(&original, &failure(1), 131_072);
    check_fits(&copy, 131_072);
    assert_eq!(dropped(&copy), ["b"]);
    assert_eq!(copy.properties.headers["tenant"], text("acme"));
}

#[test]
fn what_was_set_aside_goes_first_for_our_limit() {
    let mut original = message("a", "1");
    original.properties.headers =
        headers_of([("x-big", text(&"b".repeat(9000))), ("x-small", text("s")), ("tenant", text(&"b".repeat(9000)))]);
    let copy = copy(&original, &failure(1), 131_072);
    check_fits(&copy, 131_072);
    assert_eq!(dropped(&copy), ["rabbitry-original-x-big"]);
    assert_eq!(copy.properties.headers["rabbitry-original-x-small"], text("s"));
    assert_eq!(copy.properties.headers["tenant"], text(&"b".repeat(9000)));
}

#[test]
fn a_name_too_long_to_be_set_aside_is_named() {
    let name = format!("x-{}", "n".repeat(253));
    let mut original = message("a", "1");
    original.properties.headers = headers_of([(name.as_str(), text("v"))]);
    let copy = copy(&original, &failure(1), 131_072);
    check_fits(&copy, 131_072);
    assert_eq!(dropped(&copy), [name]);
}

#[test]
fn a_header_without_a_name_is_dropped_once() {
    let mut original = message("a", "1");
    original.properties.headers = headers_of([("", text(&"b".repeat(130_000)))]);
    let first = copy(&original, &failure(1), 131_072);
    check_fits(&first, 131_072);
    assert_eq!(dropped(&first), [""]);
    assert_eq!(copy(&first, &failure(1), 131_072).properties, first.properties);
}

#[test]
fn what_is_dropped_for_the_frame_is_named_within_our_limit() {
    let mut original = message("a", "1");
    let aside = (0..40).map(|n| (format!("x-{n:02}"), text(&"v".repeat(150))));
    // Their names alone are more than what the set-aside headers leave of the limit.
    let own = (0..10).map(|n| (format!("{n}{}", "n".repeat(254)), text(&"v".repeat(13_000))));
    original.properties.headers = aside.chain(own).collect();
    let aside_alone =
        |copy: &Message| copy.properties.headers.keys().filter(|name| name.starts_with("rabbitry-o")).count();
    let first = copy(&original, &failure(1), 65_536);
    check_fits(&first, 65_536);
    assert!(aside_alone(&first) < 42, "none of them had to go");
    assert!(dropped(&first)[0].starts_with('9'));
}

#[test]
fn what_was_dropped_earlier_stays_named() {
    let mut original = message("a", "1");
    original.properties.headers = headers_of([("x-big", text(&"b".repeat(9000)))]);
    let mut first = copy(&original, &failure(1), 131_072);
    first.properties.headers.insert("later".to_owned(), text(&"b".repeat(130_000)));
    let second = copy(&first, &failure(2), 131_072);
    check_fits(&second, 131_072);
    assert_eq!(dropped(&second), ["rabbitry-original-x-big", "later"]);
    assert_eq!(dropped(&copy(&second, &failure(3), 131_072)), ["rabbitry-original-x-big", "later"]);
}

#[test]
fn headers_forged_in_our_name_go_too() {
    for name in
        ["rabbitry-foo", "rabbitry-first-failure", "rabbitry-original-exchange", "rabbitry-original-routing-key"]
    {
        for is_later in [false, true] {
            let mut original = message("a", "1");
            if is_later {
                original = copy(&original, &failure(1), 131_072);
            }
            original.properties.headers.insert(name.to_owned(), text(&"f".repeat(125_000)));
            original.properties.headers.insert("rabbitry-dropped-headers".to_owned(), text(&"f".repeat(5000)));
            let copy = copy(&original, &failure(2), 131_072);
            check_fits(&copy, 131_072);
        }
    }
}

#[test]
fn the_most_that_ours_can_be_fits() {
    let long = "é".repeat(120);
    let failure = Failure {
        reason: Reason::Unpublishable,
        error: "e".repeat(10_000),
        service: long.clone(),
        handler: long.clone(),
        queue: "q".repeat(255),
        ..failure(u32::MAX)
    };
    let mut original = message(&"k".repeat(255), "1");
    original.exchange = "e".repeat(255).into();
    original.properties.headers = (0..100).map(|n| (format!("x-{n}"), text(&"v".repeat(300)))).collect();
    let first = copy(&original, &failure, 131_072);
    check_fits(&first, 131_072);
    assert!(first.properties.headers.keys().any(|name| name.starts_with("rabbitry-original-x-")));
    // The smallest frame that RabbitMQ 4 begins with.
    let small = copy(&original, &failure, 8192);
    assert!(small.properties.encoded_len() <= 8192 - RESERVE);
    assert!(small.properties.headers.contains_key("rabbitry-attempt"));
}

#[test]
fn thousands_of_headers_are_dropped_at_once() {
    let mut original = message("a", "1");
    original.properties.headers = (0..13_000).map(|n| (format!("{n:x}"), HeaderValue::I16(1))).collect();
    let x_names = (0..10_000).map(|n| (format!("x-{n:x}"), HeaderValue::Void));
    original.properties.headers.extend(x_names);
    let began = std::time::Instant::now();
    check_fits(&copy(&original, &failure(1), 131_072), 131_072);
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_message_too_long_for_a_frame_is_known() {
    let mut message = message("a", "1");
    let limits = Limits { frame_max: message.properties.encoded_len() + RESERVE };
    assert_eq!(too_long_for_a_frame(&message, limits), None);
    message.properties.headers = headers_of([("a", HeaderValue::Void)]);
    assert_eq!(too_long_for_a_frame(&message, limits), Some(3));
}

fn header_values() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        3 => collection::vec(any::<u8>(), 0..40).prop_map(HeaderValue::Text),
        1 => (0..60_000usize).prop_map(|length| HeaderValue::Text(vec![b'v'; length])),
        1 => any::<i64>().prop_map(HeaderValue::I64),
        1 => any::<u8>().prop_map(HeaderValue::U8),
        1 => Just(HeaderValue::Void),
        1 => any::<u64>().prop_map(HeaderValue::Timestamp),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(HeaderValue::Array),
            collection::btree_map("[a-z]{0,9}", inner, 0..4).prop_map(HeaderValue::Table),
        ]
    })
}

fn header_names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z-]{0,20}",
        "x-[a-z]{0,250}",
        "rabbitry-[a-z]{0,10}",
        "rabbitry-original-[a-z]{0,10}",
        proptest::sample::select(vec![
            "CC",
            "BCC",
            "x-death",
            "x-delivery-count",
            "rabbitry-attempt",
            "rabbitry-reason",
            "rabbitry-error",
            "rabbitry-queue",
            "rabbitry-first-failure",
            "rabbitry-last-failure",
            "rabbitry-original-exchange",
            "rabbitry-original-routing-key",
            "rabbitry-dropped-headers",
            "rabbitry-original-expiration",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn every_copy_fits_and_acts_on_nothing(
        table in collection::btree_map(header_names(), header_values(), 0..30),
        body in collection::vec(any::<u8>(), 0..50),
        frame_max in prop_oneof![Just(131_072usize), 16_384..200_000usize],
        error in "\\PC{0,3000}",
        (expiration, user_id, mode) in any::<(Option<u16>, Option<u16>, Option<u8>)>(),
    ) {
        let mut original = message("order_created", body.clone());
        original.properties.headers = table;
        original.properties.expiration = expiration.map(|ms| ms.to_string().into());
        original.properties.user_id = user_id.map(|user| user.to_string().into());
        original.properties.delivery_mode = mode;
        let failure = Failure { error, ..failure(1) };
        let first = copy(&original, &failure, frame_max);
        let second = copy(&first, &failure, frame_max);
        for copy in [&first, &second] {
            check_fits(copy, frame_max);
            prop_assert_eq!(&copy.body[..], &body[..]);
            prop_assert_eq!(&copy.properties.expiration, &None);
            prop_assert_eq!(&copy.properties.user_id, &None);
            prop_assert_eq!(copy.properties.delivery_mode, Some(2));
            prop_assert_eq!(&copy.properties.headers["rabbitry-attempt"], &HeaderValue::I64(1));
        }
        // Once it fits, it is copied without further loss.
        prop_assert_eq!(&first.properties, &second.properties);
        // What is not there any more is named, unless the names themselves were cut.
        let own: BTreeSet<&str> = own_names(&original.properties.headers);
        let names = dropped(&first);
        if names.iter().map(|name| name.len() + 2).sum::<usize>() < 1500 {
            for name in own.iter().filter(|name| !first.properties.headers.contains_key(**name)) {
                prop_assert!(names.contains(name), "{} is gone unnamed", name);
            }
        }
        for (name, value) in first.properties.headers.iter().filter(|(name, _)| own.contains(name.as_str())) {
            prop_assert_eq!(value, &original.properties.headers[name]);
        }
    }
}

/// The headers that a copy keeps under their names.
fn own_names(table: &Headers) -> BTreeSet<&str> {
    let names = table.keys().map(String::as_str);
    names.filter(|name| !name.starts_with("rabbitry-") && !headers::is_the_brokers(name)).collect()
}
