//! Dead letters that come back.

use super::*;

fn wait(name: &str, next: &str, ttl: i64, broker: &mut Broker, quorum: bool) {
    let more = [&dead_to(next)[..], &[("x-message-ttl", Argument::from(ttl))]].concat();
    broker.queue(quorum, name, &more);
}

#[test]
fn a_circle_without_a_rejection_ends() {
    // Measured: dropped by both types of queues.
    for quorum in [true, false] {
        for ttl in [0, 100] {
            let mut broker = Broker::new();
            wait("a", "b", ttl, &mut broker, quorum);
            wait("b", "a", ttl, &mut broker, quorum);
            broker.send("a", "x");
            broker.pass(1000);
            assert_eq!((broker.counts("a"), broker.counts("b"), broker.lost()), ((0, 0), (0, 0), 1));
            assert_eq!(broker.state.bytes(), 0);
            assert_eq!(broker.state.next_due(), None);
        }
    }
}

#[test]
fn a_queue_that_is_its_own_dead_letter_queue() {
    let mut broker = Broker::new();
    broker.classic("q", &[&dead_to("q")[..], &[("x-max-length", Argument::from(1))]].concat());
    broker.send("q", "a");
    broker.send("q", "b");
    assert_eq!((broker.drain("q"), broker.lost()), (vec!["b".to_owned()], 1));
    broker.send("q", "c");
    let tag = broker.get("q").unwrap().tag;
    broker.reject(CHANNEL, tag);
    assert_eq!(broker.drain("q"), ["c"]);
}

#[test]
fn a_rejection_in_the_circle_keeps_it_going() {
    // Measured: 26 rounds.
    let mut broker = Broker::new();
    broker.quorum("work", &dead_to("first"));
    wait("first", "second", 100, &mut broker, true);
    wait("second", "work", 100, &mut broker, true);
    broker.send("work", "a");
    for _ in 0..26 {
        let tag = broker.get("work").unwrap().tag;
        broker.reject(CHANNEL, tag);
        broker.pass(200);
    }
    assert_eq!((broker.counts("work"), broker.lost()), ((1, 0), 0));
}

#[test]
fn what_a_client_writes_as_deaths_counts_for_nothing() {
    // Measured: 3.10 drops this, 4.0 does not.
    let mut broker = Broker::new();
    wait("q", "target", 10, &mut broker, true);
    broker.classic("target", &[]);
    let table = [("queue", "target"), ("reason", "expired")];
    let table = table.into_iter().map(|(name, value)| (name.to_owned(), HeaderValue::text(value))).collect();
    let headers = [("x-death".to_owned(), HeaderValue::Array(vec![HeaderValue::Table(table)]))].into();
    broker.publish("", "q", "a", Properties { headers, ..Properties::default() }).unwrap();
    broker.pass(10);
    assert_eq!(broker.drain("target"), ["a"]);
}
