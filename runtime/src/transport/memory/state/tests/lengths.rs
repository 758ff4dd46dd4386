//! Full queues.

use super::*;

fn limit(length: i64, overflow: &str) -> Vec<(&'static str, Argument)> {
    [&dead_to("dead")[..], &[("x-max-length", Argument::from(length)), ("x-overflow", Argument::from(overflow))]]
        .concat()
}

#[test]
fn the_oldest_is_dropped() {
    for quorum in [true, false] {
        let mut broker = Broker::new();
        broker.queue(quorum, "q", &limit(2, "drop-head"));
        broker.classic("dead", &[]);
        broker.send_all("q", &["a", "b", "c", "d"]);
        assert_eq!(broker.drain("dead"), ["a", "b"]);
        // What somebody has does not count, and what comes back is the oldest.
        let tag = broker.get("q").unwrap().tag;
        broker.send_all("q", &["e"]);
        assert_eq!(broker.drain("dead"), [""; 0]);
        broker.requeue(CHANNEL, tag);
        assert_eq!(broker.drain("dead"), ["c"]);
        assert_eq!(broker.drain("q"), ["d", "e"]);
    }
}

#[test]
fn a_consumer_that_waits_gets_it_first() {
    for quorum in [true, false] {
        let mut broker = Broker::new();
        broker.queue(quorum, "q", &limit(0, "drop-head"));
        broker.classic("dead", &[]);
        broker.consume("q", 1, 1);
        broker.send_all("q", &["a", "b"]);
        assert_eq!((broker.bodies(), broker.drain("dead")), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }
}

#[test]
fn a_classic_queue_refuses_what_is_too_much() {
    let mut broker = Broker::new();
    broker.classic("q", &limit(2, "reject-publish"));
    broker.classic("dead", &[]);
    assert!(broker.send("q", "a") && broker.send("q", "b") && !broker.send("q", "c"));
    assert_eq!((broker.drain("dead").len(), broker.drain("q")), (0, vec!["a".to_owned(), "b".to_owned()]));
    assert!(broker.send("q", "d"));
}

#[test]
fn a_classic_queue_can_dead_letter_what_it_refuses() {
    let mut broker = Broker::new();
    broker.classic("q", &limit(1, "reject-publish-dlx"));
    broker.classic("dead", &[]);
    assert!(broker.send("q", "a") && !broker.send("q", "b"));
    assert_eq!((broker.drain("dead"), broker.drain("q")), (vec!["b".to_owned()], vec!["a".to_owned()]));
    // Quorum queues know it not and drop.
    broker.quorum("quorum", &limit(1, "reject-publish-dlx"));
    assert!(broker.send("quorum", "a") && broker.send("quorum", "b"));
    assert_eq!(broker.drain("dead"), ["a"]);
}

#[test]
fn a_quorum_queue_takes_one_too_many_and_then_refuses_down_to_four_fifths() {
    // Measured: limit 1 stores 2.
    let mut broker = Broker::new();
    broker.quorum("q", &limit(5, "reject-publish"));
    for n in 0..6 {
        assert!(broker.send("q", &n.to_string()));
    }
    let take = |broker: &mut Broker| {
        let tag = broker.get("q").unwrap().tag;
        broker.ack(CHANNEL, tag);
    };
    assert!(!broker.send("q", "no"));
    take(&mut broker);
    assert!(!broker.send("q", "no"));
    take(&mut broker);
    assert!(broker.send("q", "yes"));
    assert_eq!(broker.counts("q").0, 5);
}

#[test]
fn one_full_queue_makes_a_nack_though_others_have_stored_it() {
    let mut broker = Broker::new();
    broker.classic("full", &limit(0, "reject-publish"));
    broker.classic("free", &[]);
    for name in ["full", "free"] {
        broker.bind("amq.fanout", "", name);
    }
    let published = broker.publish("amq.fanout", "", "a", Properties::default()).unwrap();
    assert!(matches!(published.confirmed, Confirmed::Nack) && !published.returned);
    assert_eq!(broker.counts("free"), (1, 0));
}

#[test]
fn bytes_of_bodies_count() {
    for quorum in [true, false] {
        let mut broker = Broker::new();
        let more = [("x-max-length-bytes", Argument::from(10))];
        broker.queue(quorum, "q", &more);
        broker.send_all("q", &["aaaaaa", "bbbb", "c"]);
        assert_eq!(broker.drain("q"), ["bbbb", "c"]);
        broker.send_all("q", &["ddddddddddd"]);
        assert_eq!(broker.counts("q"), (0, 0));
    }
}
