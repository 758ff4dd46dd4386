//! What holds for every plan.

use super::{service, subscription};
use crate::topology::{
    Argument, Destination, ExchangeKind, PlanVersion, PlannedSubscription, QueueType, Topology, plan,
    plan::dead_letter_queue,
};

fn all_kinds() -> Topology {
    let of = |queue_type, name: &str| PlannedSubscription { queue_type, ..subscription(name, &["x"]) };
    plan(&service(
        vec![
            of(QueueType::Quorum, "a.one"),
            of(QueueType::Classic, "a.two"),
            of(QueueType::Existing, "a.three"),
            PlannedSubscription { broadcast: true, ..subscription("a.four", &["x"]) },
        ],
        Some((1 << 28) - 1),
    ))
}

#[test]
fn every_quorum_queue_has_a_positive_delivery_limit() {
    let topology = all_kinds();
    let quorum: Vec<_> = topology.queues.iter().filter(|queue| queue.kind == QueueType::Quorum).collect();
    assert!(quorum.len() > 30);
    for queue in quorum {
        let limit = if queue.name == "a.one" { 20 } else { 2_147_483_647 };
        assert_eq!(queue.arguments["x-delivery-limit"], Argument::Integer(limit), "{}", queue.name);
        assert_eq!(queue.arguments["x-queue-type"], Argument::from("quorum"));
    }
}

#[test]
fn every_quorum_queue_that_moves_messages_on_does_it_at_least_once() {
    let topology = all_kinds();
    let moving = topology.queues.iter().filter(|queue| queue.arguments.contains_key("x-dead-letter-exchange"));
    for queue in moving.filter(|queue| queue.kind == QueueType::Quorum) {
        assert_eq!(queue.arguments["x-dead-letter-strategy"], Argument::from("at-least-once"), "{}", queue.name);
        assert_eq!(queue.arguments["x-overflow"], Argument::from("reject-publish"), "{}", queue.name);
    }
    // What a classic queue does not know, RabbitMQ refuses or swallows.
    let classic = topology.queues.iter().find(|queue| queue.kind == QueueType::Classic).unwrap();
    let names: Vec<&str> = classic.arguments.keys().map(String::as_str).collect();
    assert_eq!(names, ["x-dead-letter-exchange", "x-dead-letter-routing-key", "x-queue-type"]);
}

#[test]
fn nothing_is_limited_in_length() {
    let topology = all_kinds();
    // But for the one that is there to drop: it refuses nothing.
    let (dropping, others): (Vec<_>, Vec<_>) =
        topology.queues.iter().partition(|queue| queue.name == "rabbitry.v1.delay.unwanted");
    assert!(dropping.iter().all(|queue| queue.arguments["x-overflow"] == Argument::from("drop-head")));
    for queue in others {
        for name in queue.arguments.keys() {
            assert!(!name.starts_with("x-max-length") && name != "x-expires", "{}: {name}", queue.name);
        }
    }
}

#[test]
fn dead_letters_are_declared_before_what_needs_them() {
    let topology = all_kinds();
    let position = |name: &str| topology.queues.iter().position(|queue| queue.name == name);
    for queue in ["a.one", "a.two", "a.three"] {
        assert!(position(&dead_letter_queue(queue)) < position(queue), "{queue}");
    }
    assert_eq!((position("a.four"), position("a.four.dead").is_some()), (None, true));
    // Events are bound last.
    let first_event = topology.bindings.iter().position(|binding| binding.source == "events").unwrap();
    assert!(topology.bindings[first_event..].iter().all(|binding| binding.source == "events"));
}

#[test]
fn dead_letters_reach_their_own_queue_alone() {
    let topology = all_kinds();
    for queue in ["a.one", "a.two", "a.three", "a.four"] {
        assert_eq!(topology.queues_for(&PlanVersion::CURRENT.dead_letters(), queue), [dead_letter_queue(queue)]);
    }
    assert_eq!(topology.queues_for("events", "x"), ["a.one", "a.three", "a.two"]);
}

#[test]
fn nothing_of_ours_can_drop_a_message() {
    let topology = all_kinds();
    for exchange in topology.exchanges.iter().filter(|exchange| exchange.name != "events") {
        let alternate = exchange.arguments.get("alternate-exchange");
        if exchange.name == "rabbitry.v1.undeliverable" {
            assert_eq!((exchange.kind, alternate), (ExchangeKind::Fanout, None));
        } else {
            assert_eq!(alternate, Some(&Argument::from("rabbitry.v1.undeliverable")), "{}", exchange.name);
        }
    }
    // Whatever a binding, a dead letter or an alternate exchange names is declared.
    let exchanges: Vec<&str> = topology.exchanges.iter().map(|exchange| exchange.name.as_str()).collect();
    let queues: Vec<&str> = topology.queues.iter().map(|queue| queue.name.as_str()).collect();
    for binding in &topology.bindings {
        assert!(exchanges.contains(&binding.source.as_str()), "{binding:?}");
        let known = match &binding.destination {
            Destination::Queue(_) => &queues,
            Destination::Exchange(_) => &exchanges,
        };
        assert!(known.contains(&binding.destination.name()), "{binding:?}");
    }
    for queue in &topology.queues {
        if let Some(Argument::Text(exchange)) = queue.arguments.get("x-dead-letter-exchange") {
            assert!(exchanges.contains(&exchange.as_str()), "{queue:?}");
        }
    }
}
