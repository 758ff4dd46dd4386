//! Hostile properties and routing keys.

use rabbitry_tests::{Fields, Raw, Text};

use super::case::{Case, Is, NO_TEXT};

const TEXTS: [Text; 8] = [
    Text::ContentType,
    Text::ContentEncoding,
    Text::CorrelationId,
    Text::ReplyTo,
    Text::MessageId,
    Text::Kind,
    Text::AppId,
    Text::ClusterId,
];

pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let with = |property: Text, bytes: &[u8]| Fields::default().text(property, bytes);
    for property in TEXTS {
        // The type is the event's name.
        let is = if matches!(property, Text::Kind) { Is::Event } else { Is::Order };
        for (how, bytes) in NO_TEXT {
            cases.push(Case::fields(format!("{property:?} is no text: {how}"), with(property, bytes)).is(is));
        }
        cases.push(Case::fields(format!("{property:?} is full of zeros"), with(property, &[0; 255])).is(is));
        // An empty type counts as none.
        cases.push(Case::fields(format!("{property:?} is empty"), with(property, b"")));
    }
    for (how, bytes) in NO_TEXT {
        let key: Vec<u8> = [b"order.", bytes].concat().into_iter().take(255).collect();
        let case = Case::fields(format!("the routing key is no text: {how}"), Fields::default()).key(key.clone());
        let is_named = |dead: &Raw| dead.text("rabbitry-original-routing-key").starts_with("order.");
        cases.push(case.is(Is::Event).check(is_named));
        let typed = Fields::default().text(Text::Kind, "order");
        cases.push(Case::fields(format!("the same, with a type: {how}"), typed).key(key));
    }
    let keys: [(&str, &[u8]); 4] = [
        ("is 255 words", &[b'.'; 249]),
        ("has wildcards", b"#.*.#"),
        ("has zeros", b"\0\0"),
        ("is a path", b"../../etc/passwd"),
    ];
    for (how, key) in keys {
        cases.push(
            Case::fields(format!("the routing key {how}"), Fields::default())
                .key([b"order.", key].concat())
                .is(Is::Event),
        );
    }
    let typed = |kind: &str| with(Text::Kind, kind.as_bytes());
    for kind in [
        "order\n",
        "Order",
        "order ",
        " order",
        "order.",
        "orde\u{301}r",
        "оrder",
        "%s%n",
        "queue.hostile.takes",
        "#",
        "*",
    ] {
        cases.push(Case::fields(format!("the type is nearly right: {kind:?}"), typed(kind)).is(Is::Event));
    }
    cases.push(Case::fields("it does not survive a restart", Fields::default().delivery_mode(1)));
    cases.extend(
        [10, 255].map(|priority| Case::fields(format!("priority {priority}"), Fields::default().priority(priority))),
    );
    for seconds in [0, 1_750_000_000_000, 253_402_300_800, 1 << 63, u64::MAX] {
        cases.push(Case::fields(format!("the timestamp is {seconds}"), Fields::default().timestamp(seconds)));
    }
    for expiration in ["60000", "4294967295"] {
        cases.push(Case::fields(
            format!("it expires after {expiration} ms"),
            with(Text::Expiration, expiration.as_bytes()),
        ));
    }
    cases.push(Case::fields("it answers to a queue of ours", with(Text::ReplyTo, b"hostile.takes.dead")));
    cases.push(Case::fields("it says who we are", with(Text::AppId, b"hostile").text(Text::UserId, "guest")));
    cases.push(Case::fields(
        "its id is a line of a log",
        with(Text::MessageId, b"1\n2026-01-01 ERROR all is lost\x1b[31m"),
    ));
    cases
}
