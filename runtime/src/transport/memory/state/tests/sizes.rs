//! How much the broker holds.

use super::*;

#[test]
fn a_body_counts_once_for_as_long_as_anything_holds_it() {
    let mut broker = Broker::new();
    broker.exchange("dlx", ExchangeKind::Fanout, &[]);
    for name in ["a", "b"] {
        broker.quorum(name, &[("x-dead-letter-exchange", Argument::from("dlx"))]);
        broker.bind("amq.fanout", "", name);
    }
    broker.classic("dead", &[]);
    broker.bind("dlx", "", "dead");
    broker.publish("amq.fanout", "", "12345", Properties::default()).unwrap();
    broker.publish("amq.topic", "", "nobody", Properties::default()).unwrap();
    assert_eq!(broker.state.bytes(), 5);
    for name in ["a", "b"] {
        let tag = broker.get(name).unwrap().tag;
        broker.reject(CHANNEL, tag);
    }
    assert_eq!((broker.state.bytes(), broker.counts("dead")), (5, (2, 0)));
    let delivery = broker.get("dead").unwrap();
    broker.state.purge_queue("dead", US).unwrap();
    assert_eq!(broker.state.bytes(), 5);
    broker.ack(CHANNEL, delivery.tag);
    assert_eq!(broker.state.bytes(), 0);
    for _ in 0..3 {
        broker.publish("amq.fanout", "", "12345", Properties::default()).unwrap();
    }
    for name in ["a", "b"] {
        assert_eq!(broker.state.delete_queue(name, US).unwrap(), 3);
    }
    assert_eq!(broker.state.bytes(), 0);
}

#[test]
fn bodies_are_not_copied() {
    let mut broker = Broker::new();
    broker.classic("q", &[]);
    let body = bytes::Bytes::from(vec![1; 100]);
    let message = Message { routing_key: "q".into(), body: body.clone(), ..Message::default() };
    broker.state.publish(message, false, broker.now).unwrap();
    assert_eq!(broker.get("q").unwrap().message.body.as_ptr(), body.as_ptr());
}
