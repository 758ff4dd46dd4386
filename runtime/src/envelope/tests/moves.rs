//! Messages that go to another queue and back: what is the same then.

use super::{
    copies::{LIMITS, retried},
    headers_of, message, text,
};
use crate::envelope::{
    Format, HeaderValue, Limits, Message, attempts_so_far, decode, headers, moved, too_long_for_a_frame,
};

/// There and back, as a migration moves it.
fn there_and_back(message: &Message) -> Message {
    let there = moved(message, "a.b.migrating".to_owned(), LIMITS);
    assert_eq!(there.exchange, "a.b.migrating");
    moved(&there, "a.b.migrating".to_owned(), LIMITS)
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.properties.headers.get(name).and_then(HeaderValue::as_text)
}

#[test]
fn a_move_keeps_what_is_the_senders() {
    let mut before = message("order.created", r#"{"order_id":7}"#);
    before.properties.headers = headers_of([("tenant", text("acme")), ("traceparent", text("00-1-2-01"))]);
    before.properties.message_id = Some("7".into());
    before.properties.correlation_id = Some("c".into());
    before.properties.priority = Some(3);
    let after = there_and_back(&before);
    assert_eq!((&after.body, &after.routing_key), (&before.body, &before.routing_key));
    assert_eq!(header(&after, "rabbitry-original-exchange"), Some(before.exchange.as_str()));
    assert_eq!(header(&after, "rabbitry-original-routing-key"), Some("order.created"));
    // Nothing else has come.
    let mut rest = after.properties.clone();
    rest.headers.retain(|name, _| !name.starts_with(headers::ORIGINAL));
    rest.delivery_mode = before.properties.delivery_mode;
    assert_eq!(rest, before.properties);
    assert_eq!(after.properties.delivery_mode, Some(2), "it survives a restart in any case");
}

#[test]
fn a_move_gives_no_id() {
    // One that is made up would be another each time a move is interrupted.
    let before = message("order", "1");
    assert_eq!(there_and_back(&before).properties.message_id, before.properties.message_id);
}

#[test]
fn the_name_and_the_attempts_survive() {
    // Its name is its routing key.
    let mut fresh = message("order.created", "1");
    fresh.properties.kind = None;
    let retry = retried(&fresh, 3);
    for (message, attempts) in [(fresh, 0), (retry, 3)] {
        let after = there_and_back(&message);
        assert_eq!(attempts_so_far(&after), attempts);
        assert_eq!(decode(&after, Some(Format::Bare)).unwrap().name, "order.created");
        // A failure of what was moved says as much as one of what was not.
        let (failed, moved_and_failed) = (retried(&message, 4), retried(&after, 4));
        for name in
            [headers::ATTEMPT, headers::ORIGINAL_EXCHANGE, headers::ORIGINAL_ROUTING_KEY, headers::FIRST_FAILURE]
        {
            assert_eq!(failed.properties.headers.get(name), moved_and_failed.properties.headers.get(name), "{name}");
        }
    }
}

#[test]
fn a_forged_attempt_stays_forged() {
    let mut forged = message("order", "1");
    forged.properties.headers =
        headers_of([("rabbitry-attempt", HeaderValue::I64(6)), ("rabbitry-queue", text("inventory.reserve_stock"))]);
    assert_eq!(attempts_so_far(&there_and_back(&forged)), 0);
}

#[test]
fn what_the_broker_acts_on_is_set_aside() {
    let mut before = message("order", "1");
    before.properties.headers = headers_of([
        ("CC", text("elsewhere")),
        ("x-death", HeaderValue::Array(vec![])),
        ("x-delivery-count", HeaderValue::I64(9)),
    ]);
    before.properties.expiration = Some("100".into());
    before.properties.user_id = Some("them".into());
    let after = there_and_back(&before);
    assert_eq!((&after.properties.expiration, &after.properties.user_id), (&None, &None));
    assert!(after.properties.headers.keys().all(|name| !headers::is_the_brokers(name)));
    assert_eq!(header(&after, "rabbitry-original-expiration"), Some("100"));
    assert_eq!(header(&after, "rabbitry-original-CC"), Some("elsewhere"));
}

#[test]
fn what_fitted_a_frame_still_fits() {
    let limits = Limits { frame_max: 8192 };
    let large = "x".repeat(3900);
    // Whatever names strangers give to large headers.
    for name in ["tenant", headers::ERROR, headers::ATTEMPT, headers::ORIGINAL_EXCHANGE, headers::QUEUE] {
        let mut before = message("order", "1");
        before.properties.headers = headers_of([(name, text(&large)), ("other", text(&large))]);
        let after = moved(&before, "a.b.migrating".to_owned(), limits);
        assert_eq!(too_long_for_a_frame(&after, limits), None, "{name}");
        // Where it came from is written anew, so the forged one is not even left out.
        assert_eq!(header(&after, headers::DROPPED).is_some(), name != headers::ORIGINAL_EXCHANGE, "{name}");
    }
}
