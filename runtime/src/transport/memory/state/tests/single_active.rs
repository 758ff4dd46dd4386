//! Queues that serve one consumer at a time.

use super::*;

fn broker(quorum: bool) -> Broker {
    let mut broker = Broker::new();
    let single = [("x-single-active-consumer", Argument::from(true))];
    broker.queue(quorum, "q", &single);
    broker
}

#[test]
fn the_next_one_takes_over() {
    for quorum in [true, false] {
        let mut broker = broker(quorum);
        broker.consume("q", 1, 2);
        broker.consume("q", 2, 2);
        broker.consume("q", 3, 2);
        broker.send_all("q", &["a", "b", "c", "d", "e", "f"]);
        let served = |broker: &mut Broker| -> Vec<_> {
            broker.given().into_iter().map(|(consumer, _, body, _)| format!("{consumer}{body}")).collect()
        };
        // The active one is full, yet nobody else is served.
        assert_eq!(served(&mut broker), ["1a", "1b"]);
        broker.ack(ChannelId(1), 1);
        assert_eq!(served(&mut broker), ["1c"]);
        broker.state.cancel(ConsumerId(1), broker.now);
        assert_eq!(served(&mut broker), ["2d", "2e"]);
        // One that waits leaves; then the active one's channel closes.
        broker.consume("q", 4, 1);
        broker.state.cancel(ConsumerId(3), broker.now);
        broker.state.close_channel(ChannelId(2), broker.now);
        assert_eq!(served(&mut broker), ["4d"]);
        broker.ack(ChannelId(4), 1);
        assert_eq!(served(&mut broker), ["4e"]);
        assert_eq!(broker.state.queue("q").unwrap().consumers, 1);
        // What the first has comes back to the one that is active now.
        broker.state.close_channel(ChannelId(1), broker.now);
        broker.ack(ChannelId(4), 2);
        assert_eq!(served(&mut broker), ["4b"]);
    }
}

#[test]
fn asking_is_refused_by_quorum_queues() {
    let mut quorum = broker(true);
    assert_eq!(
        refused(quorum.state.get(CHANNEL, US, "q", quorum.now)),
        "405 RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost '/'. basic.get operations are not \
         supported by quorum queues with single active consumer"
    );
    let mut classic = broker(false);
    classic.send("q", "a");
    assert!(classic.get("q").is_some());
}
