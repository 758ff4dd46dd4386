//! The crate's own delay ladder on this broker.

use proptest::prelude::*;

use super::*;
use crate::topology::{
    PlanVersion, PlannedService, PlannedSubscription, QueueType,
    ladder::{Due, Ladder},
    plan,
};

const LONGEST: u64 = (1 << 28) - 1;

fn service() -> PlannedService {
    let subscription = |queue: &str| PlannedSubscription {
        queue: queue.to_owned(),
        queue_type: QueueType::Quorum,
        broadcast: false,
        bindings: vec![("events".to_owned(), "order.created".to_owned(), Arguments::new())],
    };
    PlannedService {
        exchanges: vec![Exchange::topic("events")],
        publishes_to: vec!["events".to_owned()],
        subscriptions: ["stock.reserve", "mail.send"].map(subscription).into(),
        delays: None,
        longest_delay: Some(Duration::from_secs(LONGEST)),
        version: PlanVersion::CURRENT,
    }
}

/// A broker with all that the plan has.
fn declared() -> (Broker, Ladder) {
    let mut broker = Broker::new();
    let service = service();
    let topology = plan(&service);
    for exchange in &topology.exchanges {
        broker.state.declare_exchange(exchange, false).unwrap();
    }
    for queue in topology.queues {
        broker.declare(QueueDeclaration { arguments: queue.arguments, ..declaration(&queue.name) }).unwrap();
    }
    for binding in &topology.bindings {
        broker.state.bind(binding, US).unwrap();
    }
    (broker, service.ladder())
}

/// Lets time pass until nothing is due, from one due time to the next, and says when the queue got something.
fn arrivals(broker: &mut Broker, queue: &str) -> Vec<SystemTime> {
    let mut arrivals = Vec::new();
    let mut seen = 0;
    for _ in 0..10_000 {
        arrivals.resize(arrivals.len() + broker.counts(queue).0 - seen, broker.now);
        seen = broker.counts(queue).0;
        let Some(due) = broker.state.next_due() else { return arrivals };
        broker.now = due;
        broker.state.advance(due);
    }
    panic!("it never rests");
}

fn send_delayed(broker: &mut Broker, ladder: &Ladder, seconds: u64) {
    let (exchange, key) = ladder.entry(Duration::from_secs(seconds), Due::Queue("stock.reserve")).unwrap();
    let published = broker.publish(&exchange, &key, &seconds.to_string(), Properties::default()).unwrap();
    assert!(!published.returned && matches!(published.confirmed, Confirmed::Ack));
}

#[track_caller]
fn check_exact(delays: &[u64]) {
    let (mut broker, ladder) = declared();
    let start = broker.now;
    for delay in delays {
        send_delayed(&mut broker, &ladder, *delay);
    }
    let mut sorted = delays.to_vec();
    sorted.sort_unstable();
    let expected: Vec<_> = sorted.iter().map(|delay| start + Duration::from_secs(*delay)).collect();
    assert_eq!(arrivals(&mut broker, "stock.reserve"), expected);
    assert_eq!(broker.drain("stock.reserve"), sorted.iter().map(u64::to_string).collect::<Vec<_>>());
    let left: usize = broker.state.queues().map(|(_, info)| info.ready + info.unacked).sum();
    assert_eq!((left, broker.state.bytes(), broker.lost()), (0, 0, 0));
}

#[test]
fn every_delay_is_kept_to_the_second() {
    for delay in [0, 1, 2, 3, 4, 7, 16, 59, 60, 3600, 86_400, (1 << 27) - 1, 1 << 27, LONGEST] {
        check_exact(&[delay]);
    }
}

#[test]
fn a_work_queue_that_is_gone_stops_nobody() {
    let (mut broker, ladder) = declared();
    for _ in 0..100 {
        let (exchange, key) = ladder.entry(Duration::from_secs(5), Due::Queue("gone")).unwrap();
        broker.publish(&exchange, &key, "", Properties::default()).unwrap();
    }
    send_delayed(&mut broker, &ladder, 5);
    broker.pass(5000);
    assert_eq!((broker.counts("stock.reserve").0, broker.counts("rabbitry.v1.undeliverable").0), (1, 100));
}

#[test]
fn a_scheduled_event_reaches_whoever_is_bound_when_it_is_due() {
    let (mut broker, ladder) = declared();
    let (exchange, key) = ladder.entry(Duration::from_secs(3), Due::Exchange("events")).unwrap();
    for event in ["order.created", "order.unheard"] {
        let keys = HeaderValue::Array(vec![HeaderValue::text(event)]);
        let headers = [("CC".to_owned(), keys)].into();
        broker.publish(&exchange, &key, event, Properties { headers, ..Properties::default() }).unwrap();
    }
    broker.pass(3000);
    for queue in ["stock.reserve", "mail.send"] {
        assert_eq!(broker.drain(queue), ["order.created"]);
    }
    assert_eq!((broker.state.bytes(), broker.state.next_due()), (0, None));
}

#[test]
fn many_messages_are_fast() {
    let (mut broker, ladder) = declared();
    let start = std::time::Instant::now();
    for n in 0..2000 {
        send_delayed(&mut broker, &ladder, n);
    }
    assert_eq!(arrivals(&mut broker, "stock.reserve").len(), 2000);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_delays_together(delays in proptest::collection::vec(prop_oneof![0..200u64, 0..=LONGEST], 1..20)) {
        check_exact(&delays);
    }
}
