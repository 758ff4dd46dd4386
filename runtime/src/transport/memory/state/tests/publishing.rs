//! What publishers are told. The texts were measured.

use super::*;

#[test]
fn refused_messages() {
    let invalid =
        |value: &str, why: &str| Some(format!("406 PRECONDITION_FAILED - invalid expiration '{value}': {why}"));
    let expirations = [
        ("abc", invalid("abc", "no_integer")),
        ("-1", invalid("-1", "{value_negative,-1}")),
        ("", invalid("", "no_integer")),
        ("315360000001", invalid("315360000001", "{value_too_large,315360000001}")),
        ("99999999999999999999", invalid("99999999999999999999", "{value_too_large,99999999999999999999}")),
        ("1.5", invalid("1.5", "{leftover_string,\".5\"}")),
        (" 5", invalid(" 5", "no_integer")),
        ("5ä", invalid("5ä", "{leftover_string,\"ä\"}")),
        ("+5", None),
        ("05", None),
        ("-0", None),
        ("315360000000", None),
    ];
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    for (expiration, expected) in expirations {
        let properties = Properties { expiration: Some(expiration.into()), ..Properties::default() };
        let result = broker.publish("", "q", "", properties);
        assert_eq!(result.err().map(|refusal| format!("{} {}", refusal.code, refusal.text)), expected);
    }
    for (name, value, expected) in [
        ("CC", HeaderValue::text("q"), "{unacceptable_type_in_header,\"CC\",longstr}"),
        ("BCC", HeaderValue::I32(5), "{unacceptable_type_in_header,\"BCC\",signedint}"),
    ] {
        let properties = Properties { headers: [(name.to_owned(), value)].into(), ..Properties::default() };
        let expected = format!("406 PRECONDITION_FAILED - invalid message: {expected}");
        assert_eq!(refused(broker.publish("", "q", "", properties)), expected);
    }
    let mixed = HeaderValue::Array(vec![HeaderValue::I8(1), HeaderValue::text("q")]);
    let properties = Properties { headers: [("CC".to_owned(), mixed)].into(), ..Properties::default() };
    assert!(!broker.publish("", "no", "", properties).unwrap().returned);
    let by = |user: &str| Properties { user_id: Some(user.into()), ..Properties::default() };
    assert_eq!(
        refused(broker.publish("", "q", "", by("me"))),
        "406 PRECONDITION_FAILED - user_id property set to 'me' but authenticated user was 'guest'"
    );
    broker.publish("", "q", "", by("guest")).unwrap();
    assert_eq!(
        refused(broker.publish("no", "q", "", Properties::default())),
        "404 NOT_FOUND - no exchange 'no' in vhost '/'"
    );
    let large = "a".repeat(16 * 1024 * 1024 + 1);
    assert_eq!(
        refused(broker.publish("", "q", &large, Properties::default())),
        "406 PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216"
    );
    assert!(broker.publish("", "q", &large[1..], Properties::default()).is_ok());
}

#[test]
fn what_reaches_no_queue_is_acknowledged_and_returned_if_mandatory() {
    let mut broker = Broker::new();
    let published = broker.publish("amq.topic", "a", "", Properties::default()).unwrap();
    assert!(published.returned && matches!(published.confirmed, Confirmed::Ack));
    let message = Message { exchange: "amq.topic".into(), ..Message::default() };
    assert!(!broker.state.publish(message, false, broker.now).unwrap().returned);
}

#[test]
fn properties_come_through_as_they_were_sent() {
    let mut broker = Broker::new();
    let x = |name: &str| (name.to_owned(), HeaderValue::text("mine"));
    let properties = Properties {
        content_type: Some("text/plain".into()),
        delivery_mode: Some(1),
        priority: Some(3),
        timestamp: Some(7),
        expiration: Some("5000".into()),
        headers: [x("x-death"), x("x-foo"), x("x-delivery-count"), x("a")].into(),
        ..Properties::default()
    };
    broker.quorum("q", &[]);
    broker.publish("", "q", "body", properties.clone()).unwrap();
    let delivery = broker.get("q").unwrap();
    assert_eq!(delivery.message.properties, properties);
    assert_eq!((delivery.tag, delivery.redelivered, body(&delivery).as_str()), (1, false, "body"));
}
