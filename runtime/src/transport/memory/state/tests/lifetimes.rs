//! Queues that go.

use super::*;

#[test]
fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let mut broker = Broker::new();
    let auto_delete = || QueueDeclaration { auto_delete: true, ..declaration("q") };
    broker.declare(auto_delete()).unwrap();
    broker.pass(1_000_000);
    broker.consume("q", 1, 1);
    broker.consume("q", 2, 1);
    broker.send_all("q", &["a", "b", "c"]);
    broker.state.cancel(ConsumerId(1), broker.now);
    assert!(broker.state.queue("q").is_some());
    broker.state.close_channel(ChannelId(2), broker.now);
    assert!(broker.state.queue("q").is_none());
    assert_eq!(broker.bodies(), ["a", "b"]);
    // What the first still has belongs to nobody.
    broker.ack(ChannelId(1), 1);
    assert_eq!(broker.state.bytes(), 0);
    broker.declare(auto_delete()).unwrap();
    broker.get("q");
    broker.state.close_channel(CHANNEL, broker.now);
    assert!(broker.state.queue("q").is_some(), "asking is not consuming");
}

#[test]
fn an_exclusive_queue_goes_with_its_connection() {
    let mut broker = Broker::new();
    let other = ConnectionId(2);
    broker.classic("dead", &[]);
    let exclusive = |name: &str, connection| QueueDeclaration {
        exclusive: true,
        durable: false,
        connection,
        arguments: arguments(&dead_to("dead")),
        ..declaration(name)
    };
    broker.declare(exclusive("ours", US)).unwrap();
    broker.declare(exclusive("theirs", other)).unwrap();
    broker.consume("ours", 1, 1);
    broker.send_all("ours", &["a", "b"]);
    broker.state.close_channel(ChannelId(1), broker.now);
    assert_eq!(broker.counts("ours"), (2, 0));
    broker.consume("ours", 1, 1);
    broker.state.take_effects();
    broker.state.close_connection(US, broker.now);
    assert!(broker.state.queue("ours").is_none() && broker.state.queue("theirs").is_some());
    assert!(broker.state.take_effects().is_empty());
    assert_eq!(broker.counts("dead"), (0, 0));
    broker.declare(exclusive("ours", other)).unwrap();
}

#[test]
fn a_queue_that_nobody_uses_expires() {
    for quorum in [true, false] {
        let mut broker = Broker::new();
        let more = [&dead_to("dead")[..], &[("x-expires", Argument::from(1000))]].concat();
        let declare = |broker: &mut Broker| broker.queue(quorum, "q", &more);
        broker.classic("dead", &[]);
        declare(&mut broker);
        broker.send("q", "a");
        broker.pass(900);
        // Declaring it again is using a classic queue only: a quorum queue is not asked for its count (4.0's code).
        declare(&mut broker);
        assert_eq!(broker.state.next_due(), Some(broker.now + Duration::from_millis(if quorum { 100 } else { 1000 })));
        broker.get("q").unwrap();
        broker.pass(999);
        assert!(broker.state.queue("q").is_some());
        broker.consume("q", 2, 1);
        broker.pass(5000);
        assert!(broker.state.queue("q").is_some());
        broker.state.cancel(ConsumerId(2), broker.now);
        broker.pass(999);
        assert!(broker.state.queue("q").is_some());
        broker.pass(1);
        assert!(broker.state.queue("q").is_none());
        assert_eq!((broker.counts("dead"), broker.state.next_due()), ((0, 0), None));
    }
}
