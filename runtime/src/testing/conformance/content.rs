//! What a message carries comes out as it went in.

use super::{
    Harness,
    checks::{assert_refused, id, to},
    plan::{KINDS, Plan, text},
    session::Session,
};
use crate::{
    topology::ExchangeKind,
    transport::{Confirmed, Delivery, HeaderValue, Headers, Message, Properties},
};

/// The one header that the broker adds to what it delivers from a quorum queue.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// A message's way through a classic and a quorum queue.
async fn round_trips(harness: &impl Harness, sent: &[Message]) {
    for kind in KINDS {
        let queue = format!("content.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        let addressed = sent.iter().cloned().map(|message| Message { routing_key: queue.as_str().into(), ..message });
        let sent: Vec<Message> = addressed.collect();
        session.publish(sent.clone()).await;
        let received = session.take(&queue, sent.len()).await;
        for (sent, Delivery { mut message, redelivered, .. }) in sent.into_iter().zip(received) {
            message.properties.headers.remove(DELIVERY_COUNT);
            assert_eq!(message.properties, sent.properties, "the properties are those that were sent ({kind} queue)");
            assert!(message.body == sent.body, "a body of {} bytes comes out as it went in", sent.body.len());
            assert_eq!((message.exchange, message.routing_key), (sent.exchange, sent.routing_key));
            assert!(!redelivered, "a first delivery is not marked as redelivered");
        }
        session.close().await;
    }
}

/// Each of the fourteen properties comes out with the value that was sent.
pub async fn every_property_round_trips(harness: &impl Harness) {
    let properties = Properties {
        content_type: Some("application/json".into()),
        content_encoding: Some("gzip".into()),
        headers: Headers::from([("tenant".to_owned(), text("north"))]),
        delivery_mode: Some(2),
        priority: Some(7),
        correlation_id: Some("order 42".into()),
        reply_to: Some("answers".into()),
        expiration: Some("3600000".into()),
        message_id: Some("ünïcode 🐇".into()),
        timestamp: Some(1_700_000_000),
        kind: Some("order.created".into()),
        user_id: Some(harness.capabilities().user.into()),
        app_id: Some("orders".into()),
        cluster_id: Some("east".into()),
    };
    round_trips(harness, &[Message { properties, body: "{}".into(), ..Message::default() }]).await;
}

/// What was not sent does not come out, and what is empty comes out as empty.
pub async fn absent_properties_stay_absent(harness: &impl Harness) {
    let persistent = Properties { delivery_mode: Some(2), ..Properties::default() };
    let empty = Properties {
        content_type: Some("".into()),
        message_id: Some("".into()),
        kind: Some("".into()),
        timestamp: Some(0),
        priority: Some(0),
        delivery_mode: Some(1),
        ..Properties::default()
    };
    let messages = [persistent, empty, Properties::default()];
    let messages = messages.map(|properties| Message { properties, body: "…".into(), ..Message::default() });
    round_trips(harness, &messages).await;
}

/// A header of every type comes out with its type and value, within lists and tables, too.
pub async fn every_header_type_round_trips(harness: &impl Harness) {
    let scalars = [
        ("yes", HeaderValue::Bool(true)),
        ("no", HeaderValue::Bool(false)),
        ("i8", HeaderValue::I8(i8::MIN)),
        ("u8", HeaderValue::U8(u8::MAX)),
        ("i16", HeaderValue::I16(i16::MIN)),
        ("u16", HeaderValue::U16(u16::MAX)),
        ("i32", HeaderValue::I32(i32::MIN)),
        ("u32", HeaderValue::U32(u32::MAX)),
        ("i64", HeaderValue::I64(i64::MIN)),
        ("f32", HeaderValue::F32(0.1)),
        ("f64", HeaderValue::F64(-0.1)),
        ("decimal", HeaderValue::Decimal { scale: 2, value: 4_200_001 }),
        ("text", text("ünïcode 🐇")),
        ("no text", HeaderValue::Text(vec![0xff, 0, 0xfe])),
        ("empty text", text("")),
        ("bytes", HeaderValue::Bytes(vec![0, 1, 255])),
        ("timestamp", HeaderValue::Timestamp(1_700_000_000)),
        ("void", HeaderValue::Void),
    ];
    let scalars: Headers = scalars.map(|(name, value)| (name.to_owned(), value)).into();
    let list = HeaderValue::Array(scalars.values().cloned().collect());
    let mut headers = scalars.clone();
    headers.insert("table".to_owned(), HeaderValue::Table(scalars));
    headers.insert("list of lists".to_owned(), HeaderValue::Array(vec![list.clone(), HeaderValue::Array(Vec::new())]));
    headers.insert("empty table".to_owned(), HeaderValue::Table(Headers::new()));
    headers.insert("list".to_owned(), list);
    let properties = Properties { headers, ..Properties::default() };
    round_trips(harness, &[Message { properties, ..Message::default() }]).await;
}

/// A body of any size comes out whole: none at all, one byte, just around a frame, a mebibyte.
pub async fn bodies_of_any_size_round_trip(harness: &impl Harness) {
    let session = Session::open(harness).await;
    let frame = session.connection.frame_max();
    session.close().await;
    // A frame has eight bytes of its own.
    let sizes = [0, 1, frame - 9, frame - 8, frame - 7, 1 << 20];
    let body = |size: usize| (0..size).map(|at| (at % 251) as u8).collect::<Vec<u8>>();
    let messages = sizes.map(|size| Message { body: body(size).into(), ..Message::default() });
    round_trips(harness, &messages).await;
}

/// A delivery names the exchange and the routing key that it was published with, not the queue.
pub async fn a_delivery_names_its_exchange_and_key(harness: &impl Harness) {
    let plan = Plan::new().exchange("named", ExchangeKind::Topic).classic("inbox").bind("named", "inbox", "#");
    let session = Session::with(harness, plan).await;
    session.publish(["a.b", "", "ünï.🐇"].map(|key| super::checks::message("named", key, key))).await;
    for (delivery, key) in session.take("inbox", 3).await.into_iter().zip(["a.b", "", "ünï.🐇"]) {
        assert_eq!((delivery.message.exchange.as_str(), delivery.message.routing_key.as_str()), ("named", key));
    }
    session.close().await;
}

/// A `user_id` that is not the connection's user's is refused with 406, and the message is not stored.
pub async fn a_forged_user_is_refused(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    let mut forged = to("inbox", "forged");
    forged.properties.user_id = Some(format!("not {}", harness.capabilities().user).into());
    let answer = session.sender().await.answer(&forged, true).await;
    assert_refused("a message with another's name", answer, 406);
    session.close().await;
    let session = Session::open(harness).await;
    let mut genuine = to("inbox", "genuine");
    genuine.properties.user_id = Some(harness.capabilities().user.into());
    let answer = session.sender().await.answer(&genuine, true).await;
    assert_eq!(answer, Ok((Confirmed::Ack, None)), "a message with the own name is stored");
    assert_eq!(id(&session.take("inbox", 1).await[0]), "genuine");
    session.close().await;
}
