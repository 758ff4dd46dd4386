//! Dead letters that stay until another queue has them.

use super::*;

fn moving(more: &[(&'static str, Argument)]) -> Vec<(&'static str, Argument)> {
    let own = [
        ("x-dead-letter-strategy", Argument::from("at-least-once")),
        ("x-overflow", Argument::from("reject-publish")),
        ("x-message-ttl", Argument::from(1000)),
    ];
    [&own[..], more].concat()
}

/// A queue whose messages go on after a second by their own keys to whatever is named so.
fn shared() -> Broker {
    let mut broker = Broker::new();
    broker.exchange("in", ExchangeKind::Fanout, &[]);
    broker.quorum("wait", &moving(&[("x-dead-letter-exchange", Argument::from(""))]));
    broker.bind("in", "", "wait");
    broker.classic("good", &[]);
    broker
}

fn send_on(broker: &mut Broker, to: &str, times: usize) {
    for _ in 0..times {
        broker.publish("in", to, to, Properties::default()).unwrap();
    }
}

#[test]
fn thirty_one_that_no_queue_takes_let_others_pass_and_thirty_three_do_not() {
    for (orphans, passed) in [(0, 1), (31, 1), (32, 0), (33, 0)] {
        let mut broker = shared();
        send_on(&mut broker, "missing", orphans);
        send_on(&mut broker, "good", 1);
        broker.pass(1000);
        assert_eq!(broker.counts("good").0, passed, "{orphans}");
        assert_eq!(broker.counts("wait"), (0, 0));
        assert_eq!(broker.state.moving("wait"), Some(orphans + 1 - passed));
    }
}

#[test]
fn they_are_tried_again_every_three_minutes() {
    let mut broker = shared();
    send_on(&mut broker, "missing", 40);
    broker.pass(1000);
    send_on(&mut broker, "good", 1);
    broker.pass(10_000);
    broker.classic("missing", &[]);
    broker.pass(169_999);
    assert_eq!((broker.counts("missing"), broker.counts("good")), ((0, 0), (0, 0)));
    broker.pass(1);
    assert_eq!((broker.counts("missing"), broker.counts("good")), ((40, 0), (1, 0)));
    assert_eq!(broker.state.moving("wait"), Some(0));
    assert_eq!((broker.lost(), broker.state.next_due()), (0, None));
    let delivery = broker.get("missing").unwrap();
    let Some(HeaderValue::Array(records)) = header(&delivery, "x-death") else { panic!("{delivery:?}") };
    assert_eq!(records.len(), 1);
}

#[test]
fn the_timer_is_that_of_the_first() {
    let mut broker = shared();
    send_on(&mut broker, "missing", 1);
    broker.pass(1000);
    broker.pass(100_000);
    send_on(&mut broker, "missing", 1);
    broker.pass(1000);
    broker.classic("missing", &[]);
    broker.pass(79_000);
    assert_eq!(broker.counts("missing"), (2, 0));
}

#[test]
fn a_full_target_holds_them() {
    let mut broker = Broker::new();
    let full = [("x-max-length", Argument::from(0)), ("x-overflow", Argument::from("reject-publish"))];
    broker.classic("full", &full);
    broker.classic("free", &[]);
    broker.quorum("wait", &moving(&[("x-dead-letter-exchange", Argument::from("amq.fanout"))]));
    for name in ["full", "free"] {
        broker.bind("amq.fanout", "", name);
    }
    broker.send("wait", "a");
    broker.pass(1000);
    assert_eq!((broker.counts("free"), broker.state.moving("wait")), ((1, 0), Some(1)));
    // It is not sent again to who has it.
    broker.pass(180_000);
    assert_eq!((broker.counts("free"), broker.state.moving("wait")), ((1, 0), Some(1)));
    // Nor does it stay when the other is gone, and the one that has it, too.
    for name in ["full", "free"] {
        broker.state.delete_queue(name, US).unwrap();
    }
    broker.pass(180_000);
    assert_eq!((broker.state.moving("wait"), broker.state.bytes()), (Some(0), 0));
}

#[test]
fn a_target_that_drops_takes_all() {
    // As the ladder's queue for what nobody wants.
    let mut broker = shared();
    broker.quorum("unwanted", &[("x-max-length", Argument::from(0)), ("x-overflow", Argument::from("drop-head"))]);
    send_on(&mut broker, "unwanted", 50);
    broker.pass(1000);
    assert_eq!((broker.state.moving("wait"), broker.lost()), (Some(0), 50));
}

#[test]
fn without_reject_publish_it_is_at_most_once() {
    // Measured: RabbitMQ accepts it and says nothing.
    let mut broker = Broker::new();
    let strategy = ("x-dead-letter-strategy", Argument::from("at-least-once"));
    broker.quorum("q", &[&dead_to("missing")[..], &[strategy]].concat());
    broker.send("q", "a");
    let tag = broker.get("q").unwrap().tag;
    broker.reject(CHANNEL, tag);
    assert_eq!((broker.state.moving("q"), broker.lost()), (Some(0), 1));
}

#[test]
fn they_count_for_the_limit_of_their_queue() {
    let mut broker = Broker::new();
    let more = [&dead_to("missing")[..], &[("x-max-length", Argument::from(5))]].concat();
    broker.quorum("wait", &moving(&more));
    broker.send_all("wait", &["a", "b", "c", "d", "e", "f"]);
    assert!(!broker.send("wait", "g"));
    broker.pass(1000);
    assert_eq!(broker.counts("wait"), (0, 0));
    assert!(!broker.send("wait", "g"));
    broker.classic("missing", &[]);
    broker.pass(180_000);
    assert!(broker.send("wait", "g"));
}

#[test]
fn all_keep_their_order() {
    let mut broker = shared();
    for n in 0..1000 {
        broker.publish("in", "good", &n.to_string(), Properties::default()).unwrap();
    }
    broker.pass(1000);
    assert_eq!(broker.drain("good"), (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn one_that_would_go_round_stays() {
    // At least once means that RabbitMQ does not drop even this; it tries for ever.
    let mut broker = Broker::new();
    broker.quorum("a", &moving(&dead_to("b")));
    broker.quorum("b", &moving(&dead_to("a")));
    broker.send("a", "x");
    broker.pass(1_000_000_000);
    assert_eq!((broker.state.moving("b"), broker.lost()), (Some(1), 0));
}
