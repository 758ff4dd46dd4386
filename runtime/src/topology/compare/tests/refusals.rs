use serde_json::{Value, json};

use crate::topology::compare::refusal::{Unequal, unequal};

#[track_caller]
fn check(text: &str, field: &str, theirs: Option<Value>) {
    assert_eq!(unequal(text), Some(Unequal { field: field.to_owned(), theirs }), "{text}");
}

/// As both lines of RabbitMQ print it, within our own words.
#[test]
fn the_first_unequal_field_is_read() {
    let of =
        |rest: &str| format!("queue `a.b`: PRECONDITION_FAILED - inequivalent arg {rest} — it is there with other");
    let key = "'x-delivery-limit' for queue 'a.b' in vhost '/'";
    check(&of(&format!("{key}: received '20' but current is '3'")), "x-delivery-limit", Some(json!(3)));
    check(
        &of(&format!("{key}: received the value '20' of type 'signedint' but current is none")),
        "x-delivery-limit",
        None,
    );
    check(
        &of(
            "'x-max-length' for queue 'a.b' in vhost '/': received none but current is the value '5' of type 'signedint'",
        ),
        "x-max-length",
        Some(json!(5)),
    );
    check(
        &of("'durable' for queue 'a.b' in vhost '/': received 'true' but current is 'false'"),
        "durable",
        Some(json!(false)),
    );
    check(
        &of("'type' for exchange 'events' in vhost '/': received 'topic' but current is 'direct'"),
        "type",
        Some(json!("direct")),
    );
    check(
        &of("'alternate-exchange' for exchange 'e' in vhost '/': received '1' but current is 'lost'"),
        "alternate-exchange",
        Some(json!("lost")),
    );
}

/// At 255 bytes AMQP's texts end.
#[test]
fn a_text_that_is_cut_off_says_no_value() {
    let whole = "PRECONDITION_FAILED - inequivalent arg 'x-overflow' for queue 'a' in vhost '/': received 'x' but current is 'drop-head'";
    for end in [whole.len() - 1, whole.len() - 5, whole.len() - 11, whole.len() - 20, whole.len() - 60] {
        check(whole.get(..end).unwrap(), "x-overflow", Some(Value::Null));
    }
    assert_eq!(unequal("PRECONDITION_FAILED - inequivalent arg 'x-over"), None);
}

#[test]
fn names_that_look_like_the_text_mislead_nobody_into_a_panic() {
    check(
        "inequivalent arg 'durable' for queue '' but current is '1' in vhost '/': received 'true' but current is 'false'",
        "durable",
        Some(json!(false)),
    );
    for text in ["", "inequivalent arg '", "inequivalent arg ''", "inequivalent arg 'é' but current is é", "NOT_FOUND"]
    {
        let _ = unequal(text);
    }
    assert_eq!(unequal("invalid arg 'x-max-age' for queue 'a.b' in vhost '/' of queue type rabbit_quorum_queue"), None);
}
