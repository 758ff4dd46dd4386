//! Who gets what, and under which tag.

use super::*;

#[test]
fn tags_count_for_each_channel() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.classic("other", &[]);
    broker.consume("q", 2, 0);
    broker.state.consume(ChannelId(2), US, "other", ConsumerId(20), 0, broker.now).unwrap();
    broker.send_all("q", &["a"]);
    broker.send_all("other", &["b"]);
    broker.send_all("q", &["c"]);
    let given: Vec<_> = broker.given().into_iter().map(|(consumer, tag, body, _)| (consumer, tag, body)).collect();
    let expected = [(2, 1, "a"), (20, 2, "b"), (2, 3, "c")].map(|(who, tag, body)| (who, tag, body.to_owned()));
    assert_eq!(given, expected);
    broker.classic("third", &[]);
    broker.send_all("third", &["d", "e"]);
    assert_eq!(broker.get("third").unwrap().tag, 1);
    assert_eq!(broker.get("third").unwrap().tag, 2);
}

#[test]
fn consumers_are_served_in_turn_and_never_beyond_their_prefetch() {
    for quorum in [true, false] {
        let mut broker = Broker::new();
        broker.queue(quorum, "q", &[]);
        broker.send_all("q", &["a", "b"]);
        broker.consume("q", 1, 1);
        broker.consume("q", 2, 2);
        broker.consume("q", 3, 0);
        broker.send_all("q", &["c", "d", "e", "f", "g"]);
        let given: Vec<_> = broker.given().into_iter().map(|(consumer, _, body, _)| (consumer, body)).collect();
        let expected = [(1, "a"), (2, "b"), (2, "c"), (3, "d"), (3, "e"), (3, "f"), (3, "g")];
        assert_eq!(given, expected.map(|(consumer, body)| (consumer, body.to_owned())));
        broker.ack(ChannelId(1), 1);
        broker.ack(ChannelId(2), 2);
        broker.send_all("q", &["h", "i", "j"]);
        let given: Vec<_> = broker.given().into_iter().map(|(consumer, _, _, _)| consumer).collect();
        assert_eq!(given, [3, 1, 2]);
    }
}

#[test]
fn a_quorum_queue_gives_two_thousand_ahead_at_most() {
    let mut broker = Broker::new();
    broker.quorum("q", &[]);
    broker.consume("q", 1, 0);
    for _ in 0..2001 {
        broker.send("q", "");
    }
    assert_eq!(broker.counts("q"), (1, 2000));
}

#[test]
fn what_a_cancelled_consumer_has_can_still_be_settled() {
    for quorum in [true, false] {
        let mut broker = Broker::new();
        broker.queue(quorum, "q", &[]);
        broker.consume("q", 1, 2);
        broker.send_all("q", &["a", "b", "c"]);
        broker.state.cancel(ConsumerId(1), broker.now);
        broker.ack(ChannelId(1), 1);
        broker.requeue(ChannelId(1), 2);
        assert_eq!(broker.bodies(), ["a", "b"]);
        assert_eq!(broker.state.queue("q").unwrap().consumers, 0);
        assert_eq!(broker.drain("q"), ["b", "c"]);
        broker.state.cancel(ConsumerId(1), broker.now);
    }
}

#[test]
fn a_consumer_is_told_that_its_queue_is_gone() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.consume("q", 1, 1);
    broker.consume("q", 2, 1);
    broker.send_all("q", &["a", "b", "c"]);
    broker.given();
    assert_eq!(broker.state.delete_queue("q", US).unwrap(), 1);
    let effects = broker.state.take_effects();
    let cancelled = effects.iter().map(|effect| match effect {
        Effect::Cancelled { consumer } => consumer.0,
        Effect::Deliver { .. } => panic!("{effect:?}"),
    });
    assert_eq!(cancelled.collect::<Vec<_>>(), [1, 2]);
    // What they have can be settled, yet a new queue of that name does not get it.
    broker.classic("q", &[]);
    broker.requeue(ChannelId(1), 1);
    assert_eq!(broker.counts("q"), (0, 0));
    broker.state.close_channel(ChannelId(2), broker.now);
    assert_eq!(broker.counts("q"), (0, 0));
    broker.consume("q", 1, 1);
}

#[test]
fn unknown_tags_and_reused_consumers() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    broker.send_all("q", &["a", "b", "c"]);
    let settle = |broker: &mut Broker, tag, multiple| {
        broker.state.settle(CHANNEL, Settlement::Ack { tag, multiple }, broker.now)
    };
    let unknown = |tag| format!("406 PRECONDITION_FAILED - unknown delivery tag {tag}");
    settle(&mut broker, 0, true).unwrap();
    assert_eq!(refused(settle(&mut broker, 5, false)), unknown(5));
    for _ in 0..3 {
        broker.get("q").unwrap();
    }
    assert_eq!(refused(settle(&mut broker, 4, true)), unknown(4));
    assert_eq!(refused(settle(&mut broker, 0, false)), unknown(0));
    assert_eq!(broker.counts("q"), (0, 3));
    settle(&mut broker, 2, true).unwrap();
    assert_eq!(refused(settle(&mut broker, 2, false)), unknown(2));
    settle(&mut broker, 0, true).unwrap();
    assert_eq!(broker.counts("q"), (0, 0));
    broker.consume("q", 7, 1);
    assert_eq!(broker.state.consume(CHANNEL, US, "q", ConsumerId(7), 1, broker.now).unwrap_err().code, 530);
}

#[test]
fn purging_leaves_what_somebody_has() {
    let mut broker = Broker::new();
    broker.quorum("q", &dead_to("dead"));
    broker.classic("dead", &[]);
    broker.send_all("q", &["a", "b", "c"]);
    let tag = broker.get("q").unwrap().tag;
    assert_eq!(broker.state.purge_queue("q", US).unwrap(), 2);
    assert_eq!(broker.counts("q"), (0, 1));
    broker.requeue(CHANNEL, tag);
    assert_eq!(broker.drain("q"), ["a"]);
    assert_eq!(broker.counts("dead"), (0, 0));
}
