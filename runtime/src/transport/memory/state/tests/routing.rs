//! Which queues a message reaches.

use super::*;

/// The queues that have something, which is taken from them.
fn reached(broker: &mut Broker) -> Vec<String> {
    let names: Vec<_> = broker.state.queues().map(|(name, _)| name.to_owned()).collect();
    names.into_iter().flat_map(|name| broker.drain(&name).into_iter().map(move |_| name.clone())).collect()
}

#[test]
fn topic_keys() {
    let cases = [
        ("order.created", "order.created", true),
        ("order.*", "order.created", true),
        ("order.*", "order", false),
        ("order.*", "order.a.b", false),
        ("*", "", false),
        ("*", "a", true),
        ("*.*", "a.", true),
        ("*.b", ".b", true),
        ("a.*.c", "a..c", true),
        ("#", "", true),
        ("#", "a.b.c", true),
        ("", "", true),
        ("", "a", false),
        ("order.#", "order", true),
        ("order.#", "order.a.b", true),
        ("#.created", "created", true),
        ("#.created", "a.b.created", true),
        ("#.created", "a.b.created.c", false),
        ("a.#.z", "a.z", true),
        ("a.#.z", "a.b.z.c.z", true),
        ("#.a.#.b.#", "x.a.y.b", true),
        ("#.a.#.b.#", "x.b.y.a", false),
        ("#.*", "", false),
        ("#.*", "a", true),
        ("*.#", "a.b", true),
        ("#.#", "", true),
        ("a.b.#", "a", false),
    ];
    for (pattern, key, expected) in cases {
        let mut broker = Broker::new();
        broker.classic("q", &[]);
        broker.bind("amq.topic", pattern, "q");
        let published = broker.publish("amq.topic", key, "", Properties::default()).unwrap();
        assert_eq!(!published.returned, expected, "{pattern} and {key}");
    }
}

#[test]
fn each_type_of_exchange() {
    let mut broker = Broker::new();
    for name in ["a", "b"] {
        broker.classic(name, &[]);
    }
    for exchange in ["amq.direct", "amq.fanout", "amq.topic"] {
        broker.bind(exchange, "a", "a");
        broker.bind(exchange, "b", "b");
    }
    for (exchange, key, expected) in [
        ("amq.direct", "a", vec!["a"]),
        ("amq.direct", "*", vec![]),
        ("amq.fanout", "whatever", vec!["a", "b"]),
        ("amq.topic", "b", vec!["b"]),
        ("", "b", vec!["b"]),
        ("", "c", vec![]),
    ] {
        broker.publish(exchange, key, "", Properties::default()).unwrap();
        assert_eq!(reached(&mut broker), expected, "{exchange} {key}");
    }
}

#[test]
fn headers() {
    let a_and_b = [("a", Argument::from("1")), ("b", Argument::from(2)), ("x-c", Argument::from(true))];
    let text = |text: &str| HeaderValue::text(text);
    type Headers<'a> = &'a [(&'a str, HeaderValue)];
    let cases: &[(&str, Headers<'_>, bool)] = &[
        ("all", &[("a", text("1")), ("b", HeaderValue::I32(2))], true),
        ("all", &[("a", text("1")), ("b", HeaderValue::I64(2)), ("d", text("4"))], true),
        ("all", &[("a", text("1"))], false),
        ("all", &[("a", text("1")), ("b", text("2"))], false),
        ("all-with-x", &[("a", text("1")), ("b", HeaderValue::U8(2))], false),
        ("all-with-x", &[("a", text("1")), ("b", HeaderValue::U8(2)), ("x-c", HeaderValue::Bool(true))], true),
        ("any", &[("b", HeaderValue::I16(2))], true),
        ("any", &[("x-c", HeaderValue::Bool(true))], false),
        ("any", &[], false),
        ("any-with-x", &[("x-c", HeaderValue::Bool(true))], true),
        ("any-with-x", &[("x-c", HeaderValue::Bool(false))], false),
    ];
    for (mode, given, expected) in cases {
        let mut broker = Broker::new();
        broker.classic("q", &[]);
        let mut binding = binding("amq.headers", "", "q");
        binding.arguments = arguments(&a_and_b);
        binding.arguments.insert("x-match".to_owned(), Argument::from(*mode));
        broker.state.bind(&binding, US).unwrap();
        let headers = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let published = broker.publish("amq.headers", "", "", Properties { headers, ..Properties::default() }).unwrap();
        assert_eq!(!published.returned, *expected, "{mode} {given:?}");
    }
}

#[test]
fn a_binding_without_arguments_takes_all_headers() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.bind("amq.match", "", "q");
    broker.publish("amq.match", "", "", Properties::default()).unwrap();
    assert_eq!(reached(&mut broker), ["q"]);
}

#[test]
fn many_bindings_are_one_message() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.exchange("second", ExchangeKind::Fanout, &[]);
    for key in ["#", "a.*", "a.b"] {
        broker.bind("amq.topic", key, "q");
        broker.bind("amq.topic", key, ">second");
    }
    broker.bind("second", "", "q");
    broker.publish("amq.topic", "a.b", "", Properties::default()).unwrap();
    assert_eq!(reached(&mut broker), ["q"]);
}

#[test]
fn a_circle_of_exchanges_ends() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    for name in ["a", "b", "c"] {
        broker.exchange(name, ExchangeKind::Fanout, &[]);
    }
    for (source, destination) in [("a", ">b"), ("b", ">c"), ("c", ">a"), ("a", ">a"), ("c", "q")] {
        broker.bind(source, "", destination);
    }
    broker.publish("b", "", "", Properties::default()).unwrap();
    assert_eq!(reached(&mut broker), ["q"]);
}

#[test]
fn what_has_no_way_goes_to_the_alternate_exchange_and_is_not_returned() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.exchange("other", ExchangeKind::Fanout, &[]);
    broker.exchange("first", ExchangeKind::Direct, &[("alternate-exchange", Argument::from("second"))]);
    broker.exchange("second", ExchangeKind::Direct, &[("alternate-exchange", Argument::from("other"))]);
    assert!(broker.publish("first", "q", "", Properties::default()).unwrap().returned);
    broker.bind("other", "", "q");
    assert!(!broker.publish("first", "q", "", Properties::default()).unwrap().returned);
    assert_eq!(reached(&mut broker), ["q"]);
    // A binding that leads to nothing is a way, too: RabbitMQ asks each exchange alone.
    broker.exchange("empty", ExchangeKind::Fanout, &[]);
    broker.bind("first", "q", ">empty");
    assert!(broker.publish("first", "q", "", Properties::default()).unwrap().returned);
}

#[test]
fn the_default_exchange_is_no_alternate_exchange() {
    // Measured: the queue does not get it.
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.exchange("first", ExchangeKind::Topic, &[("alternate-exchange", Argument::from(""))]);
    assert!(broker.publish("first", "q", "", Properties::default()).unwrap().returned);
}

#[test]
fn further_routing_keys() {
    let mut broker = Broker::new();
    for name in ["a", "b", "c"] {
        broker.classic(name, &[]);
    }
    let keys = |keys: &[&str]| HeaderValue::Array(keys.iter().map(HeaderValue::text).collect());
    let headers = [("CC".to_owned(), keys(&["b"])), ("BCC".to_owned(), keys(&["c", "a"]))].into();
    broker.publish("", "a", "", Properties { headers, ..Properties::default() }).unwrap();
    for name in ["a", "b", "c"] {
        let delivery = broker.get(name).unwrap();
        assert_eq!(delivery.message.routing_key, "a");
        assert_eq!(header(&delivery, "CC"), Some(keys(&["b"])));
        assert_eq!(header(&delivery, "BCC"), None);
        assert!(broker.get(name).is_none());
    }
}

#[test]
fn unbound_and_deleted_destinations_get_nothing() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.exchange("e", ExchangeKind::Fanout, &[]);
    broker.bind("amq.topic", "a", "q");
    broker.bind("amq.topic", "a", "q");
    broker.bind("amq.topic", "b", "q");
    broker.bind("amq.topic", "c", ">e");
    broker.bind("e", "", "q");
    let routed =
        |broker: &mut Broker, key: &str| !broker.publish("amq.topic", key, "", Properties::default()).unwrap().returned;
    assert!(routed(&mut broker, "a") && routed(&mut broker, "b") && routed(&mut broker, "c"));
    broker.state.unbind(&binding("amq.topic", "a", "q"), US).unwrap();
    assert!(!routed(&mut broker, "a") && routed(&mut broker, "b"));
    broker.state.delete_exchange("e").unwrap();
    broker.exchange("e", ExchangeKind::Fanout, &[]);
    broker.bind("e", "", "q");
    assert!(!routed(&mut broker, "c"));
    broker.state.delete_queue("q", US).unwrap();
    broker.classic("q", &[]);
    assert!(!routed(&mut broker, "b"));
}

#[test]
fn a_binding_key_of_hashes_is_matched_fast() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.bind("amq.topic", &["#.a"; 60].join("."), "q");
    let key = ["a"; 127].join(".");
    let start = std::time::Instant::now();
    assert!(!broker.publish("amq.topic", &key, "", Properties::default()).unwrap().returned);
    assert!(broker.publish("amq.topic", &key.replace("a.a.a", "b"), "", Properties::default()).unwrap().returned);
    assert!(start.elapsed() < Duration::from_secs(1));
}
