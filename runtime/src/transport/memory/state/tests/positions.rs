//! Where messages come back to. All measured.

use super::*;

/// A queue with six messages of which the first four are given out, tags 1 to 4.
fn with_four_out(more: Option<&[(&str, Argument)]>) -> Broker {
    let mut broker = Broker::new();
    match more {
        Some(more) => broker.quorum("q", more),
        None => broker.classic("q", &[]),
    }
    broker.send_all("q", &["0", "1", "2", "3", "4", "5"]);
    for _ in 0..4 {
        broker.get("q").unwrap();
    }
    broker
}

#[test]
fn returned_messages() {
    let limit = [("x-delivery-limit", Argument::from(20))];
    let unlimited = [("x-delivery-limit", Argument::from(-1))];
    let cases: [(Option<&[_]>, [&str; 3]); 4] = [
        (Some(&limit), ["01245", "20145", "012345"]),
        (Some(&[]), ["01245", "20145", "012345"]),
        (Some(&unlimited), ["45012", "45201", "012345"]),
        (None, ["01245", "01245", "012345"]),
    ];
    for (more, [multiple, single, closed]) in cases {
        let mut broker = with_four_out(more);
        let settlement = Settlement::Nack { tag: 3, multiple: true, requeue: true };
        broker.state.settle(CHANNEL, settlement, broker.now).unwrap();
        assert_eq!(broker.drain("q").concat(), multiple, "{more:?}");

        let mut broker = with_four_out(more);
        for tag in [3, 1, 2] {
            broker.requeue(CHANNEL, tag);
        }
        assert_eq!(broker.drain("q").concat(), single, "{more:?}");

        let mut broker = with_four_out(more);
        broker.state.close_channel(CHANNEL, broker.now);
        assert_eq!(broker.drain("q").concat(), closed, "{more:?}");

        let mut broker = with_four_out(more);
        broker.state.close_connection(US, broker.now);
        assert_eq!(broker.drain("q").concat(), closed, "{more:?}");
    }
}

#[test]
fn several_rejected_at_once_die_in_their_order() {
    let mut broker = Broker::new();
    broker.quorum("q", &dead_to("dead"));
    broker.classic("dead", &[]);
    broker.send_all("q", &["0", "1", "2"]);
    for _ in 0..3 {
        broker.get("q").unwrap();
    }
    let settlement = Settlement::Nack { tag: 3, multiple: true, requeue: false };
    broker.state.settle(CHANNEL, settlement, broker.now).unwrap();
    assert_eq!(broker.drain("dead").concat(), "012");
}

#[test]
fn nothing_of_a_closed_connection_is_given_to_its_other_channels() {
    let mut broker = Broker::new();
    broker.quorum("q", &[]);
    broker.consume("q", 1, 1);
    broker.consume("q", 2, 5);
    broker.send_all("q", &["a", "b", "c"]);
    broker.given();
    broker.state.close_connection(US, broker.now);
    assert!(broker.given().is_empty());
    let delivery = broker.get("q").unwrap();
    assert_eq!(header(&delivery, "x-delivery-count"), Some(HeaderValue::I64(1)));
}
