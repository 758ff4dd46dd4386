use serde_json::{Value, json};

use super::AnyEvent;
use crate::event::{EventSet, Payload};

#[test]
fn it_hands_on_the_json_as_it_came() {
    // Neither the spaces nor the digits are rabbitry's to change.
    let data = r#"{ "b": 1.10, "a": 18446744073709551616, "b": 2 }"#;
    let event = <AnyEvent as EventSet>::decode(Payload::new("order.created", 4, data.as_bytes())).unwrap();
    assert_eq!((event.name(), event.version(), event.json()), ("order.created", 4, data));
    let mut out = b"before ".to_vec();
    event.encode(&mut out).unwrap();
    assert_eq!(out, format!("before {data}").into_bytes());
    let event_type = event.event_type();
    assert_eq!((&*event_type.name, event_type.version), ("order.created", 4));
    assert!(event_type.schema().is_none());
}

#[test]
fn it_is_json_or_nothing() {
    for data in ["", "order", "{", "1 2", "\u{feff}1"] {
        assert!(<AnyEvent as EventSet>::decode(Payload::new("a", 1, data.as_bytes())).is_err(), "{data}");
    }
    assert!(<AnyEvent as EventSet>::decode(Payload::new("a", 1, b"\"\xff\"")).is_err());
}

#[test]
fn it_decodes_as_whatever_is_asked_for() {
    let event = AnyEvent::new("order_created", &json!({ "order_id": 7 })).unwrap();
    assert_eq!(event.decode::<Value>().unwrap(), json!({ "order_id": 7 }));
    assert!(event.decode::<Vec<u8>>().is_err());
    assert_eq!(format!("{event:?}"), r#"AnyEvent { name: "order_created", version: 1, bytes: 14 }"#);
}

#[test]
fn wrong_names_and_data_are_refused() {
    assert!(
        AnyEvent::new("Order", &1)
            .unwrap_err()
            .to_string()
            .starts_with("`Order` cannot be published as an event: has `O`")
    );
    assert!(AnyEvent::new("order.*", &1).is_err());
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(AnyEvent::new("a", &unwritable).unwrap_err().reason.starts_with("its data cannot be written as JSON"));
}
