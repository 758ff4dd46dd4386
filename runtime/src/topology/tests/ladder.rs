//! The delay ladder, walked as a message walks it.

use std::time::Duration;

use proptest::prelude::*;

use super::{service, subscription};
use crate::topology::{
    Argument, Binding, Destination, Queue, Topology,
    ladder::{Due, LEVELS, Ladder, check_destination},
    plan,
};

const LONGEST: u64 = (1 << 28) - 1;

/// Where a message is that was sent to `exchange`: it waits in queues that expire, in whole milliseconds, and ends in others.
fn walk(topology: &Topology, mut exchange: String, routing_keys: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut waited = Vec::new();
    loop {
        let reached = topology.queues_for_any(&exchange, routing_keys);
        let expiring = reached.iter().copied().find_map(|name| expiring(topology, name));
        let Some(queue) = expiring else { return (waited, reached.iter().map(|name| (*name).to_owned()).collect()) };
        assert_eq!(reached, [queue.name.as_str()], "a copy went elsewhere");
        assert!(waited.len() < 30, "it waits for ever: {waited:?}");
        waited.push(queue.name.clone());
        let Some(Argument::Text(next)) = queue.arguments.get("x-dead-letter-exchange") else { panic!("it ends here") };
        assert_eq!(queue.arguments.get("x-dead-letter-routing-key"), None);
        exchange = next.clone();
    }
}

fn expiring<'a>(topology: &'a Topology, name: &str) -> Option<&'a Queue> {
    topology
        .queues
        .iter()
        .find(|queue| queue.name == name)
        .filter(|queue| queue.arguments.contains_key("x-message-ttl"))
}

fn waits(topology: &Topology, waited: &[String]) -> Duration {
    let times = waited.iter().map(|name| match expiring(topology, name).unwrap().arguments["x-message-ttl"] {
        Argument::Integer(ms) => Duration::from_millis(ms.try_into().unwrap()),
        _ => panic!("no time"),
    });
    times.sum()
}

/// Queues whose names are ends and beginnings of one another's.
fn neighbours() -> Topology {
    let queues = ["a.b", "x.a.b", "b", "queue.a.b", "a", "exchange.events", "events"];
    plan(&service(queues.iter().map(|queue| subscription(queue, &["order.created"])).collect(), Some(LONGEST)))
}

#[track_caller]
fn check_arrives(topology: &Topology, seconds: u64, queue: &str) {
    let ladder = service(vec![], Some(LONGEST)).ladder();
    let (exchange, key) = ladder.entry(Duration::from_secs(seconds), Due::Queue(queue)).unwrap();
    let (waited, reached) = walk(topology, exchange, &[&key]);
    assert_eq!(waits(topology, &waited), Duration::from_secs(seconds));
    let levels = (0..LEVELS).rev().filter(|k| seconds >> k & 1 == 1).map(|k| format!("rabbitry.v1.delay.{k:02}"));
    assert_eq!(waited, levels.collect::<Vec<_>>());
    assert_eq!(reached, [queue]);
}

proptest! {
    #[test]
    fn every_delay_is_waited_out_and_ends_where_it_should(seconds in 0..=LONGEST, which in 0..7usize) {
        thread_local!(static PLAN: Topology = neighbours());
        PLAN.with(|topology| {
            check_arrives(topology, seconds, ["a.b", "x.a.b", "b", "queue.a.b", "a", "exchange.events", "events"][which]);
        });
    }
}

#[test]
fn the_ends_of_the_ladder_and_every_level() {
    let topology = neighbours();
    for seconds in [0, 1, 2, 3, LONGEST, LONGEST - 1].into_iter().chain((0..LEVELS).map(|k| 1 << k)) {
        check_arrives(&topology, seconds, "a.b");
    }
}

#[test]
fn a_scheduled_event_ends_with_whoever_is_bound() {
    let topology = plan(&service(
        vec![subscription("inventory.reserve", &["order.created"]), subscription("audit.all", &["#"])],
        Some(LONGEST),
    ));
    let ladder = service(vec![], Some(LONGEST)).ladder();
    for seconds in [0, 1, 5, 86_400, LONGEST] {
        let (exchange, key) = ladder.entry(Duration::from_secs(seconds), Due::Exchange("events")).unwrap();
        let (waited, reached) = walk(&topology, exchange.clone(), &[&key, "order.created"]);
        assert_eq!(waits(&topology, &waited), Duration::from_secs(seconds));
        let unwanted = "rabbitry.v1.delay.unwanted";
        assert_eq!(reached, ["audit.all", "inventory.reserve", unwanted]);
        assert_eq!(walk(&topology, exchange, &[&key, "order.cancelled"]).1, ["audit.all", unwanted]);
    }
}

#[test]
fn what_has_no_destination_is_parked() {
    let topology = neighbours();
    let ladder = service(vec![], Some(LONGEST)).ladder();
    for gone in ["gone", "a.b.c", "y.a.b", ""] {
        let (exchange, key) = ladder.entry(Duration::from_secs(5), Due::Queue(gone)).unwrap();
        assert_eq!(walk(&topology, exchange, &[&key]).1, ["rabbitry.v1.undeliverable"]);
    }
    // So is a key with a bit too few or too many, or of no bits at all.
    for key in
        ["queue.a.b", &format!("{}queue.a.b", "0.".repeat(27)), &format!("{}queue.a.b", "0.".repeat(29)), "", "#"]
    {
        assert_eq!(topology.queues_for("rabbitry.v1.delay.out", key), ["rabbitry.v1.undeliverable"], "{key}");
    }
    assert_eq!(topology.queues_for("rabbitry.v1.delay.27", "2.queue.a.b"), ["rabbitry.v1.undeliverable"]);
    assert_eq!(topology.queues_for("rabbitry.v1.dead", "gone"), ["rabbitry.v1.undeliverable"]);
}

#[test]
fn delays_are_rounded_up_to_whole_seconds() {
    let ladder = Ladder::up_to("delay".to_owned(), Some(Duration::from_secs(3)));
    let bits = |delay| ladder.entry(delay, Due::Queue("q")).map(|(exchange, key)| (exchange, key[52..].to_owned()));
    let at = |exchange: &str, key: &str| Some((exchange.to_owned(), key.to_owned()));
    assert_eq!(bits(Duration::ZERO), at("delay.out", "0.0.queue.q"));
    assert_eq!(bits(Duration::from_nanos(1)), at("delay.00", "0.1.queue.q"));
    assert_eq!(bits(Duration::from_secs(1)), at("delay.00", "0.1.queue.q"));
    assert_eq!(bits(Duration::from_millis(1001)), at("delay.01", "1.0.queue.q"));
    assert_eq!(bits(Duration::from_secs(3)), at("delay.01", "1.1.queue.q"));
    assert_eq!(bits(Duration::from_millis(3001)), None);
    assert_eq!(bits(Duration::MAX), None);
}

#[test]
fn a_ladder_has_the_levels_that_its_longest_delay_needs() {
    let levels = [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 2),
        (4, 3),
        (320, 9),
        (4500, 13),
        (LONGEST, 28),
        (LONGEST + 1, 28),
        (u64::MAX, 28),
    ];
    for (seconds, levels) in levels {
        let ladder = Ladder::up_to("delay".to_owned(), Some(Duration::from_secs(seconds)));
        assert_eq!(ladder.levels, levels, "{seconds} s");
        assert!(ladder.longest().as_secs() >= seconds.min(LONGEST));
        assert!(ladder.entry(ladder.longest(), Due::Queue("q")).is_some());
        assert!(ladder.entry(ladder.longest() + Duration::from_nanos(1), Due::Queue("q")).is_none());
    }
    let ladder = Ladder::up_to("delay".to_owned(), Some(Duration::from_millis(1001)));
    assert_eq!(ladder.levels, 2);
    assert_eq!(Ladder::up_to("delay".to_owned(), None).levels, 0);
}

#[test]
fn a_short_ladder_carries_what_it_promises() {
    for longest in 0..20 {
        let topology = plan(&service(vec![subscription("a.b", &["order.created"])], Some(longest)));
        let ladder = service(vec![], Some(longest)).ladder();
        for seconds in 0..=ladder.longest().as_secs() {
            let (exchange, key) = ladder.entry(Duration::from_secs(seconds), Due::Queue("a.b")).unwrap();
            let (waited, reached) = walk(&topology, exchange, &[&key]);
            assert_eq!((waits(&topology, &waited).as_secs(), &*reached), (seconds, &["a.b".to_owned()][..]));
        }
    }
}

#[test]
fn keys_fit_a_short_string_and_bindings_have_28_stars() {
    let longest_name = "n".repeat(190);
    let ladder = Ladder::up_to("delay".to_owned(), Some(Duration::from_secs(LONGEST)));
    let (_, key) = ladder.entry(Duration::from_secs(LONGEST), Due::Exchange(&longest_name)).unwrap();
    assert_eq!(key.len(), 255);
    for (due, end) in [(Due::Queue("a.b"), "queue.a.b"), (Due::Exchange("events"), "exchange.events")] {
        let key = Ladder::binding_key(due);
        assert_eq!(key.matches('*').count(), 28);
        assert_eq!(key, format!("{}{end}", "*.".repeat(28)));
    }
}

#[test]
fn no_event_s_name_meets_a_binding_of_the_ladder() {
    let topology = neighbours();
    // The most words that a name can have, and words as near to a bit as a name's can be.
    for name in ["order.created", &"00.".repeat(19), &["10"; 20].join("."), &["queue"; 20].join("."), "exchange.events"]
    {
        for binding in topology.bindings.iter().filter(|binding| binding.source.starts_with("rabbitry.v1.delay")) {
            let probe = Binding { destination: Destination::Queue("probe".to_owned()), ..binding.clone() };
            let alone =
                Topology { exchanges: topology.exchanges.clone(), bindings: vec![probe], ..Topology::default() };
            assert!(alone.queues_for(&binding.source, name).is_empty(), "{name} by {}", binding.routing_key);
        }
    }
}

#[test]
fn destinations_have_names_that_the_ladder_can_carry() {
    for name in ["billing.in", "inventory.reserve_stock", "Capital Letters", "größe", "a*b", &"n".repeat(190)] {
        assert_eq!(check_destination(name), Ok(()), "{name}");
    }
    for name in ["", "a.*", "#", "a.#.b", "amq.topic", &"n".repeat(191), &"é".repeat(96)] {
        assert!(check_destination(name).is_err(), "{name}");
    }
}
