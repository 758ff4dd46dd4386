//! Delivery counts and limits. All measured.

use super::*;

/// How a message goes back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Back {
    Requeued,
    Closed,
    Lost,
}

/// Gives a message out and takes it back until it is gone, thirty times at most; says what each delivery showed.
fn look(broker: &mut Broker, queue: &str, back: Back) -> Vec<(bool, Option<i64>)> {
    let mut seen = Vec::new();
    while let (true, Some(delivery)) = (seen.len() < 30, broker.get(queue)) {
        let count = header(&delivery, "x-delivery-count").and_then(|count| count.as_integer());
        seen.push((delivery.redelivered, count));
        match back {
            Back::Requeued => broker.requeue(CHANNEL, delivery.tag),
            Back::Closed => broker.state.close_channel(CHANNEL, broker.now),
            Back::Lost => broker.state.close_connection(US, broker.now),
        }
    }
    seen
}

const ALL: [Back; 3] = [Back::Requeued, Back::Closed, Back::Lost];

#[test]
fn a_limit_of_n_is_n_and_one_deliveries() {
    let limit = |limit: i64| vec![("x-delivery-limit", Argument::from(limit))];
    for (more, deliveries) in [(limit(2), 3), (limit(0), 1), (vec![], 21), (limit(20), 21), (limit(-1), 30)] {
        for back in ALL {
            let mut broker = Broker::new();
            broker.quorum("q", &more);
            broker.send("q", "a");
            let seen = look(&mut broker, "q", back);
            let expected = (0..deliveries).map(|n| if n == 0 { (false, None) } else { (true, Some(n)) });
            assert_eq!(seen, expected.collect::<Vec<_>>(), "{more:?} {back:?}");
            assert_eq!(broker.lost(), u64::from(deliveries < 30));
        }
    }
}

#[test]
fn classic_queues_count_nothing() {
    for back in ALL {
        let mut broker = Broker::new();
        broker.classic("q", &[]);
        broker.send("q", "a");
        let seen = look(&mut broker, "q", back);
        assert_eq!(seen.len(), 30);
        assert!(seen.iter().all(|(_, count)| count.is_none()));
        assert_eq!(seen.iter().filter(|(redelivered, _)| *redelivered).count(), 29);
    }
}

#[test]
fn a_count_sent_by_a_client_is_shown_until_there_is_one() {
    let mut broker = Broker::new();
    broker.quorum("q", &[("x-delivery-limit", Argument::from(2))]);
    let headers = [("x-delivery-count".to_owned(), HeaderValue::I32(50))].into();
    broker.publish("", "q", "", Properties { headers, ..Properties::default() }).unwrap();
    assert_eq!(look(&mut broker, "q", Back::Requeued), [(false, Some(50)), (true, Some(1)), (true, Some(2))]);
}

#[test]
fn what_is_seen_in_a_dead_letter_queue() {
    // What failed shows how often on its first delivery elsewhere; what was only sent back by its consumer did not fail.
    let shown = [(Back::Requeued, (false, None)), (Back::Closed, (true, Some(3))), (Back::Lost, (true, Some(3)))];
    for strategy in ["at-most-once", "at-least-once"] {
        for (back, first) in shown {
            for quorum in [true, false] {
                let mut broker = Broker::new();
                let more = [
                    ("x-delivery-limit", Argument::from(2)),
                    ("x-dead-letter-strategy", Argument::from(strategy)),
                    ("x-overflow", Argument::from("reject-publish")),
                ];
                broker.quorum("q", &[&more[..], &dead_to("dead")].concat());
                broker.queue(quorum, "dead", if quorum { &more[..1] } else { &[] });
                broker.send("q", "a");
                assert_eq!(look(&mut broker, "q", back).len(), 3);
                let seen = look(&mut broker, "dead", Back::Requeued);
                // The limit there counts from nought.
                let expected = if quorum { [first, (true, Some(1)), (true, Some(2))] } else { [(false, None); 3] };
                if quorum {
                    assert_eq!(seen, expected, "{strategy} {back:?}");
                } else {
                    assert_eq!(seen.first(), expected.first(), "{strategy} {back:?}");
                }
            }
        }
    }
}

#[test]
fn failures_add_up_through_rejections_and_not_through_expiry() {
    let mut broker = Broker::new();
    broker.quorum("work", &dead_to("wait"));
    broker.quorum("wait", &[&dead_to("work")[..], &[("x-message-ttl", Argument::from(1000))]].concat());
    broker.send("work", "a");
    for round in 0..26 {
        let delivery = broker.get("work").unwrap();
        let count = header(&delivery, "x-delivery-count").and_then(|count| count.as_integer());
        assert_eq!((delivery.redelivered, count), (round > 0, (round > 0).then_some(round)));
        broker.reject(CHANNEL, delivery.tag);
        broker.pass(1000);
    }
}
