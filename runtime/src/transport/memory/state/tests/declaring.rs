//! What is refused, in RabbitMQ's words. All texts were measured, with `signedint` where the probe sent shorter integers.

use super::*;
use crate::transport::memory::state::Ends;

const LOCKED: &str = "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be \
                      originally declared on another connection or the exclusive property value does not match that of \
                      the original declaration.";

fn integer(number: i64) -> Argument {
    Argument::Integer(number)
}

#[test]
fn arguments_of_new_queues() {
    let invalid = |argument: &str, why: &str| {
        Some(format!("406 PRECONDITION_FAILED - invalid arg '{argument}' for queue 'q' in vhost '/'{why}"))
    };
    let quorum = |more: &[(&'static str, Argument)]| [&[("x-queue-type", Argument::from("quorum"))], more].concat();
    let of_quorum = " of queue type rabbit_quorum_queue";
    let of_classic = " of queue type rabbit_classic_queue";
    let cases = [
        (vec![("x-foo", integer(1))], None),
        (quorum(&[("x-foo", integer(1)), ("x-delivery-limit", integer(-1))]), None),
        (quorum(&[("x-delivery-limit", Argument::from("abc"))]), None),
        (quorum(&[("x-max-priority", integer(3))]), invalid("x-max-priority", of_quorum)),
        (quorum(&[("x-queue-mode", Argument::from("lazy"))]), invalid("x-queue-mode", of_quorum)),
        (vec![("x-queue-mode", Argument::from("lazy"))], None),
        (vec![("x-delivery-limit", integer(3))], invalid("x-delivery-limit", of_classic)),
        (
            vec![("x-dead-letter-strategy", Argument::from("at-least-once"))],
            invalid("x-dead-letter-strategy", of_classic),
        ),
        (vec![("x-message-ttl", integer(-1))], invalid("x-message-ttl", ": {value_negative,-1}")),
        (vec![("x-message-ttl", integer(0))], None),
        (vec![("x-message-ttl", integer(134_217_728_000))], None),
        (
            vec![("x-message-ttl", integer(315_360_000_001))],
            invalid("x-message-ttl", ": {value_too_large,315360000001}"),
        ),
        (
            vec![("x-message-ttl", Argument::from("1"))],
            invalid("x-message-ttl", ": \"expected integer, got longstr\""),
        ),
        (vec![("x-expires", integer(0))], invalid("x-expires", ": {value_zero,0}")),
        (vec![("x-max-length", integer(-1))], invalid("x-max-length", ": {value_negative,-1}")),
        (vec![("x-max-length", Argument::from(true))], invalid("x-max-length", ": \"expected integer, got bool\"")),
        (vec![("x-max-priority", integer(256))], invalid("x-max-priority", ": {max_value_exceeded,256}")),
        (vec![("x-queue-version", integer(3))], invalid("x-queue-version", ": \"unsupported queue version '3'\"")),
        (
            vec![("x-dead-letter-routing-key", Argument::from("a"))],
            invalid("x-dead-letter-routing-key", ": routing_key_but_no_dlx_defined"),
        ),
        (
            vec![("x-dead-letter-exchange", integer(1))],
            Some(
                "406 PRECONDITION_FAILED - invalid type 'long' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
                    .to_owned(),
            ),
        ),
        (vec![("x-overflow", Argument::from("foo"))], invalid("x-overflow", ": invalid_overflow")),
        (vec![("x-overflow", integer(1))], invalid("x-overflow", ": {unacceptable_type,long}")),
        (
            quorum(&[("x-dead-letter-strategy", Argument::from("foo"))]),
            invalid("x-dead-letter-strategy", ": invalid_dlx_strategy"),
        ),
        (
            vec![("x-queue-type", Argument::from("foo"))],
            invalid("x-queue-type", ": \"unsupported queue type 'foo'\""),
        ),
        (vec![("x-queue-type", integer(1))], invalid("x-queue-type", ": {unacceptable_type,long}")),
        (
            vec![("x-single-active-consumer", integer(1))],
            invalid("x-single-active-consumer", ": {unacceptable_type,long}"),
        ),
        (vec![("x-max-age", Argument::from("1D"))], invalid("x-max-age", of_classic)),
    ];
    for (given, expected) in cases {
        let mut broker = Broker::new();
        let result = broker.declare(QueueDeclaration { arguments: arguments(&given), ..declaration("q") });
        assert_eq!(result.err().map(|refusal| format!("{} {}", refusal.code, refusal.text)), expected, "{given:?}");
    }
}

#[test]
fn what_quorum_queues_cannot_be() {
    let quorum =
        || QueueDeclaration { arguments: arguments(&[("x-queue-type", Argument::from("quorum"))]), ..declaration("q") };
    let mut broker = Broker::new();
    for (declaration, property) in [
        (QueueDeclaration { durable: false, ..quorum() }, "non-durable"),
        (QueueDeclaration { exclusive: true, ..quorum() }, "exclusive-owner"),
        (QueueDeclaration { auto_delete: true, ..quorum() }, "auto-delete"),
    ] {
        let expected = format!("406 PRECONDITION_FAILED - invalid property '{property}' for queue 'q' in vhost '/'");
        assert_eq!(refused(broker.declare(declaration)), expected);
    }
    assert_eq!(
        refused(broker.declare(QueueDeclaration { name: String::new(), ..quorum() })),
        "406 PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue"
    );
}

#[test]
fn queues_that_are_there() {
    let unequal = |rest: &str| {
        Some(format!("406 PRECONDITION_FAILED - inequivalent arg {rest}").replace("FOR", "for queue 'q' in vhost '/':"))
    };
    let ttl = ("x-message-ttl", integer(5));
    let classic = |more: &[(&str, Argument)]| QueueDeclaration { arguments: arguments(more), ..declaration("q") };
    let cases = [
        (classic(&[("x-message-ttl", integer(6))]), unequal("'x-message-ttl' FOR received '6' but current is '5'")),
        (classic(&[]), unequal("'x-message-ttl' FOR received none but current is the value '5' of type 'long'")),
        (classic(std::slice::from_ref(&ttl)), None),
        (classic(&[ttl.clone(), ("x-queue-type", Argument::from("classic"))]), None),
        (classic(&[ttl.clone(), ("x-foo", integer(2))]), None),
        (classic(&[ttl.clone(), ("x-delivery-limit", integer(2))]), None),
        (
            classic(&[ttl.clone(), ("x-queue-type", Argument::from("quorum"))]),
            unequal("'x-queue-type' FOR received 'quorum' but current is 'classic'"),
        ),
        (
            classic(&[ttl.clone(), ("x-max-length", integer(2)), ("x-expires", integer(5000))]),
            unequal("'x-expires' FOR received the value '5000' of type 'long' but current is none"),
        ),
        (
            QueueDeclaration { durable: false, ..classic(std::slice::from_ref(&ttl)) },
            unequal("'durable' FOR received 'false' but current is 'true'"),
        ),
        (
            QueueDeclaration { auto_delete: true, ..classic(std::slice::from_ref(&ttl)) },
            unequal("'auto_delete' FOR received 'true' but current is 'false'"),
        ),
        (QueueDeclaration { exclusive: true, ..classic(std::slice::from_ref(&ttl)) }, Some(LOCKED.to_owned())),
        (QueueDeclaration { passive: true, durable: false, ..classic(&[]) }, None),
    ];
    for (declaration, expected) in cases {
        let mut broker = Broker::new();
        broker.classic("q", std::slice::from_ref(&ttl));
        broker.send_all("q", &["a"]);
        let shown = format!("{declaration:?}");
        match (broker.declare(declaration), expected) {
            (Ok(declared), None) => {
                assert_eq!(declared, QueueDeclared { name: "q".to_owned(), ready: 1, consumers: 0 });
            }
            (result, expected) => assert_eq!(Some(refused(result)), expected, "{shown}"),
        }
    }
}

#[test]
fn a_quorum_queue_that_is_there() {
    let mut broker = Broker::new();
    broker.quorum("q", &[]);
    assert_eq!(
        refused(broker.declare(declaration("q"))),
        "406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'classic' but \
         current is 'quorum'"
    );
}

#[test]
fn exchanges() {
    let mut broker = Broker::new();
    let unequal = |rest: &str| format!("406 PRECONDITION_FAILED - inequivalent arg {rest}");
    broker.exchange("x", ExchangeKind::Topic, &[("alternate-exchange", Argument::from("z")), ("foo", integer(1))]);
    let declare = |broker: &mut Broker, name: &str, kind: ExchangeKind, more: &[(&str, Argument)]| {
        let exchange = Exchange { arguments: arguments(more), ..Exchange::named(name, kind) };
        broker.state.declare_exchange(&exchange, false)
    };
    let alternate = |name: &str| [("alternate-exchange", Argument::from(name))];
    declare(&mut broker, "x", ExchangeKind::Topic, &alternate("z")).unwrap();
    assert_eq!(
        refused(declare(&mut broker, "x", ExchangeKind::Fanout, &alternate("z"))),
        unequal("'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'topic'")
    );
    assert_eq!(
        refused(declare(&mut broker, "x", ExchangeKind::Topic, &alternate("y"))),
        unequal("'alternate-exchange' for exchange 'x' in vhost '/': received 'y' but current is 'z'")
    );
    assert_eq!(
        refused(declare(&mut broker, "x", ExchangeKind::Topic, &[])),
        unequal(
            "'alternate-exchange' for exchange 'x' in vhost '/': received none but current is the value 'z' of type \
             'longstr'"
        )
    );
    assert_eq!(
        refused(declare(&mut broker, "y", ExchangeKind::Topic, &[("alternate-exchange", integer(1))])),
        "406 PRECONDITION_FAILED - invalid type 'long' for arg 'alternate-exchange' in exchange 'y' in vhost '/'"
    );
    declare(&mut broker, "amq.topic", ExchangeKind::Topic, &[]).unwrap();
    assert_eq!(
        refused(declare(&mut broker, "amq.topic", ExchangeKind::Direct, &[])),
        unequal("'type' for exchange 'amq.topic' in vhost '/': received 'direct' but current is 'topic'")
    );
    assert_eq!(
        refused(declare(&mut broker, "amq.foo", ExchangeKind::Topic, &[])),
        "403 ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'"
    );
    let default = "403 ACCESS_REFUSED - operation not permitted on the default exchange";
    assert_eq!(refused(declare(&mut broker, "", ExchangeKind::Direct, &[])), default);
    assert_eq!(refused(broker.state.declare_exchange(&Exchange::topic(""), true)), default);
    assert_eq!(refused(broker.state.delete_exchange("")), default);
    broker.state.declare_exchange(&Exchange::named("x", ExchangeKind::Fanout), true).unwrap();
    assert_eq!(
        refused(broker.state.declare_exchange(&Exchange::topic("no"), true)),
        "404 NOT_FOUND - no exchange 'no' in vhost '/'"
    );
    broker.state.delete_exchange("no").unwrap();
    assert_eq!(
        refused(broker.state.delete_exchange("amq.topic")),
        "403 ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed"
    );
}

#[test]
fn bindings() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    let default = "403 ACCESS_REFUSED - operation not permitted on the default exchange";
    let no_exchange = "404 NOT_FOUND - no exchange 'no' in vhost '/'";
    for (source, destination, expected) in [
        ("", "q", default),
        ("amq.topic", ">", default),
        ("no", "q", no_exchange),
        ("amq.topic", ">no", no_exchange),
        ("amq.topic", "no", "404 NOT_FOUND - no queue 'no' in vhost '/'"),
    ] {
        assert_eq!(refused(broker.state.bind(&binding(source, "a", destination), US)), expected);
    }
    for (source, destination) in [("no", "q"), ("amq.topic", "no"), ("amq.topic", "q")] {
        broker.state.unbind(&binding(source, "a", destination), US).unwrap();
    }
    for (mode, expected) in [
        (Argument::from("foo"), "value <<\"foo\">>; expected all, any, all-with-x, or any-with-x"),
        (integer(1), "type long (value 1); expected longstr"),
    ] {
        let mut binding = binding("amq.headers", "", "q");
        binding.arguments.insert("x-match".to_owned(), mode);
        let expected = format!("406 PRECONDITION_FAILED - Invalid x-match field {expected}");
        assert_eq!(refused(broker.state.bind(&binding, US)), expected);
    }
}

#[test]
fn names() {
    let mut broker = Broker::new();
    assert_eq!(
        refused(broker.declare(declaration("amq.foo"))),
        "403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'"
    );
    let first = broker.declare(declaration("")).unwrap().name;
    let second = broker.declare(declaration("")).unwrap().name;
    assert!(first.starts_with("amq.gen-") && second.starts_with("amq.gen-") && first != second);
    broker.declare(declaration(&"q".repeat(255))).unwrap();
    let refusal = broker.declare(declaration(&"q".repeat(256))).unwrap_err();
    assert_eq!((refusal.code, refusal.ends), (501, Ends::Connection));
    assert!(broker.state.declare_exchange(&Exchange::topic("x".repeat(256)), false).is_err());
}

#[test]
fn what_is_not_there() {
    let mut broker = Broker::new();
    let missing = "404 NOT_FOUND - no queue 'no' in vhost '/'";
    assert_eq!(refused(broker.declare(QueueDeclaration { passive: true, ..declaration("no") })), missing);
    assert_eq!(refused(broker.state.purge_queue("no", US)), missing);
    assert_eq!(refused(broker.state.get(CHANNEL, US, "no", broker.now)), missing);
    assert_eq!(refused(broker.state.consume(CHANNEL, US, "no", ConsumerId(1), 1, broker.now)), missing);
    assert_eq!(broker.state.delete_queue("no", US).unwrap(), 0);
}

#[test]
fn another_connections_queue() {
    let mut broker = Broker::new();
    broker.declare(QueueDeclaration { exclusive: true, ..declaration("q") }).unwrap();
    let other = ConnectionId(2);
    let declared =
        |passive, exclusive, connection| QueueDeclaration { passive, exclusive, connection, ..declaration("q") };
    assert_eq!(refused(broker.declare(declared(false, true, other))), LOCKED);
    assert_eq!(refused(broker.declare(declared(true, false, other))), LOCKED);
    assert_eq!(refused(broker.declare(declared(false, false, US))), LOCKED);
    broker.declare(declared(false, true, US)).unwrap();
    broker.declare(declared(true, false, US)).unwrap();
    assert_eq!(refused(broker.state.consume(ChannelId(2), other, "q", ConsumerId(1), 1, broker.now)), LOCKED);
    assert_eq!(refused(broker.state.get(ChannelId(2), other, "q", broker.now)), LOCKED);
    assert_eq!(refused(broker.state.purge_queue("q", other)), LOCKED);
    assert_eq!(refused(broker.state.delete_queue("q", other)), LOCKED);
    assert_eq!(refused(broker.state.bind(&binding("amq.topic", "a", "q"), other)), LOCKED);
    broker.state.unbind(&binding("amq.topic", "a", "q"), other).unwrap();
    broker.bind("amq.topic", "a", "q");
    assert_eq!(refused(broker.state.unbind(&binding("amq.topic", "a", "q"), other)), LOCKED);
    assert!(broker.send("q", "publishing is not refused"));
}
