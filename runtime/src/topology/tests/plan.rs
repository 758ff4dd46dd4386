//! The plans of small services, whole.

use expect_test::{Expect, expect};

use super::{service, subscription};
use crate::topology::{
    Argument, Destination, ExchangeKind, PlanVersion, PlannedService, PlannedSubscription, QueueType, Topology, plan,
    plan::dead_letter_queue,
};

#[track_caller]
fn check(service: &PlannedService, expected: &Expect) {
    expected.assert_eq(&plan(service).to_string());
}

#[test]
fn a_small_service() {
    check(
        &service(vec![subscription("inventory.reserve_stock", &["order_created", "order.*"])], Some(3)),
        &expect![[r#"
            exchanges
              events topic
              rabbitry.v1.undeliverable fanout
              rabbitry.v1.delay.00 topic alternate-exchange=rabbitry.v1.undeliverable
              rabbitry.v1.delay.01 topic alternate-exchange=rabbitry.v1.undeliverable
              rabbitry.v1.delay.out topic alternate-exchange=rabbitry.v1.undeliverable
              rabbitry.v1.dead direct alternate-exchange=rabbitry.v1.undeliverable
            queues
              rabbitry.v1.undeliverable quorum x-delivery-limit=2147483647
              rabbitry.v1.delay.00 quorum x-dead-letter-exchange=rabbitry.v1.delay.out x-dead-letter-strategy=at-least-once x-delivery-limit=2147483647 x-message-ttl=1000 x-overflow=reject-publish
              rabbitry.v1.delay.01 quorum x-dead-letter-exchange=rabbitry.v1.delay.00 x-dead-letter-strategy=at-least-once x-delivery-limit=2147483647 x-message-ttl=2000 x-overflow=reject-publish
              rabbitry.v1.delay.unwanted quorum x-delivery-limit=2147483647 x-max-length=0 x-overflow=drop-head
              inventory.reserve_stock.dead quorum x-delivery-limit=2147483647
              inventory.reserve_stock quorum x-dead-letter-exchange=rabbitry.v1.dead x-dead-letter-routing-key=inventory.reserve_stock x-dead-letter-strategy=at-least-once x-delivery-limit=20 x-overflow=reject-publish
            bindings
              rabbitry.v1.undeliverable → queue rabbitry.v1.undeliverable by ``
              rabbitry.v1.delay.00 → queue rabbitry.v1.delay.00 by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.1.#`
              rabbitry.v1.delay.00 → exchange rabbitry.v1.delay.out by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.0.#`
              rabbitry.v1.delay.01 → queue rabbitry.v1.delay.01 by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.1.#`
              rabbitry.v1.delay.01 → exchange rabbitry.v1.delay.00 by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.0.#`
              rabbitry.v1.delay.out → queue rabbitry.v1.delay.unwanted by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.exchange.events`
              rabbitry.v1.delay.out → exchange events by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.exchange.events`
              rabbitry.v1.dead → queue inventory.reserve_stock.dead by `inventory.reserve_stock`
              rabbitry.v1.delay.out → queue inventory.reserve_stock by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.queue.inventory.reserve_stock`
              events → queue inventory.reserve_stock by `order_created`
              events → queue inventory.reserve_stock by `order.*`
        "#]],
    );
}

#[test]
fn a_small_service_as_json() {
    let service = service(vec![subscription("inventory.reserve_stock", &["order_created"])], Some(1));
    let json = serde_json::to_string_pretty(&plan(&service)).unwrap();
    expect![[r#"
        {
          "exchanges": [
            {
              "name": "events",
              "type": "topic"
            },
            {
              "name": "rabbitry.v1.undeliverable",
              "type": "fanout"
            },
            {
              "name": "rabbitry.v1.delay.00",
              "type": "topic",
              "arguments": {
                "alternate-exchange": "rabbitry.v1.undeliverable"
              }
            },
            {
              "name": "rabbitry.v1.delay.out",
              "type": "topic",
              "arguments": {
                "alternate-exchange": "rabbitry.v1.undeliverable"
              }
            },
            {
              "name": "rabbitry.v1.dead",
              "type": "direct",
              "arguments": {
                "alternate-exchange": "rabbitry.v1.undeliverable"
              }
            }
          ],
          "queues": [
            {
              "name": "rabbitry.v1.undeliverable",
              "type": "quorum",
              "arguments": {
                "x-delivery-limit": 2147483647,
                "x-queue-type": "quorum"
              }
            },
            {
              "name": "rabbitry.v1.delay.00",
              "type": "quorum",
              "arguments": {
                "x-dead-letter-exchange": "rabbitry.v1.delay.out",
                "x-dead-letter-strategy": "at-least-once",
                "x-delivery-limit": 2147483647,
                "x-message-ttl": 1000,
                "x-overflow": "reject-publish",
                "x-queue-type": "quorum"
              }
            },
            {
              "name": "rabbitry.v1.delay.unwanted",
              "type": "quorum",
              "arguments": {
                "x-delivery-limit": 2147483647,
                "x-max-length": 0,
                "x-overflow": "drop-head",
                "x-queue-type": "quorum"
              }
            },
            {
              "name": "inventory.reserve_stock.dead",
              "type": "quorum",
              "arguments": {
                "x-delivery-limit": 2147483647,
                "x-queue-type": "quorum"
              }
            },
            {
              "name": "inventory.reserve_stock",
              "type": "quorum",
              "arguments": {
                "x-dead-letter-exchange": "rabbitry.v1.dead",
                "x-dead-letter-routing-key": "inventory.reserve_stock",
                "x-dead-letter-strategy": "at-least-once",
                "x-delivery-limit": 20,
                "x-overflow": "reject-publish",
                "x-queue-type": "quorum"
              }
            }
          ],
          "bindings": [
            {
              "source": "rabbitry.v1.undeliverable",
              "queue": "rabbitry.v1.undeliverable",
              "routing_key": ""
            },
            {
              "source": "rabbitry.v1.delay.00",
              "queue": "rabbitry.v1.delay.00",
              "routing_key": "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.1.#"
            },
            {
              "source": "rabbitry.v1.delay.00",
              "exchange": "rabbitry.v1.delay.out",
              "routing_key": "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.0.#"
            },
            {
              "source": "rabbitry.v1.delay.out",
              "queue": "rabbitry.v1.delay.unwanted",
              "routing_key": "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.exchange.events"
            },
            {
              "source": "rabbitry.v1.delay.out",
              "exchange": "events",
              "routing_key": "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.exchange.events"
            },
            {
              "source": "rabbitry.v1.dead",
              "queue": "inventory.reserve_stock.dead",
              "routing_key": "inventory.reserve_stock"
            },
            {
              "source": "rabbitry.v1.delay.out",
              "queue": "inventory.reserve_stock",
              "routing_key": "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.queue.inventory.reserve_stock"
            },
            {
              "source": "events",
              "queue": "inventory.reserve_stock",
              "routing_key": "order_created"
            }
          ]
        }"#]]
    .assert_eq(&json);
}

#[test]
fn a_service_that_only_publishes_needs_its_exchange() {
    check(
        &service(vec![], None),
        &expect![[r#"
        exchanges
          events topic
        queues
        bindings
    "#]],
    );
}

#[test]
fn a_service_that_publishes_on_schedule_needs_the_ladder() {
    check(
        &service(vec![], Some(1)),
        &expect![[r#"
            exchanges
              events topic
              rabbitry.v1.undeliverable fanout
              rabbitry.v1.delay.00 topic alternate-exchange=rabbitry.v1.undeliverable
              rabbitry.v1.delay.out topic alternate-exchange=rabbitry.v1.undeliverable
            queues
              rabbitry.v1.undeliverable quorum x-delivery-limit=2147483647
              rabbitry.v1.delay.00 quorum x-dead-letter-exchange=rabbitry.v1.delay.out x-dead-letter-strategy=at-least-once x-delivery-limit=2147483647 x-message-ttl=1000 x-overflow=reject-publish
              rabbitry.v1.delay.unwanted quorum x-delivery-limit=2147483647 x-max-length=0 x-overflow=drop-head
            bindings
              rabbitry.v1.undeliverable → queue rabbitry.v1.undeliverable by ``
              rabbitry.v1.delay.00 → queue rabbitry.v1.delay.00 by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.1.#`
              rabbitry.v1.delay.00 → exchange rabbitry.v1.delay.out by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.0.#`
              rabbitry.v1.delay.out → queue rabbitry.v1.delay.unwanted by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.exchange.events`
              rabbitry.v1.delay.out → exchange events by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.exchange.events`
        "#]],
    );
}

#[test]
fn a_broadcast_has_dead_letters_and_no_queue() {
    let broadcast = PlannedSubscription { broadcast: true, ..subscription("prices.cache", &["price_changed"]) };
    check(
        &service(vec![broadcast], None),
        &expect![[r#"
        exchanges
          events topic
          rabbitry.v1.undeliverable fanout
          rabbitry.v1.delay.out topic alternate-exchange=rabbitry.v1.undeliverable
          rabbitry.v1.dead direct alternate-exchange=rabbitry.v1.undeliverable
        queues
          rabbitry.v1.undeliverable quorum x-delivery-limit=2147483647
          prices.cache.dead quorum x-delivery-limit=2147483647
        bindings
          rabbitry.v1.undeliverable → queue rabbitry.v1.undeliverable by ``
          rabbitry.v1.dead → queue prices.cache.dead by `prices.cache`
    "#]],
    );
}

#[test]
fn queues_of_other_types() {
    let classic = PlannedSubscription { queue_type: QueueType::Classic, ..subscription("a.classic", &["x"]) };
    let existing = PlannedSubscription { queue_type: QueueType::Existing, ..subscription("billing.in", &["x"]) };
    check(
        &service(vec![classic, existing], None),
        &expect![[r#"
        exchanges
          events topic
          rabbitry.v1.undeliverable fanout
          rabbitry.v1.delay.out topic alternate-exchange=rabbitry.v1.undeliverable
          rabbitry.v1.dead direct alternate-exchange=rabbitry.v1.undeliverable
        queues
          rabbitry.v1.undeliverable quorum x-delivery-limit=2147483647
          a.classic.dead quorum x-delivery-limit=2147483647
          a.classic classic x-dead-letter-exchange=rabbitry.v1.dead x-dead-letter-routing-key=a.classic
          billing.in.dead quorum x-delivery-limit=2147483647
          billing.in existing
        bindings
          rabbitry.v1.undeliverable → queue rabbitry.v1.undeliverable by ``
          rabbitry.v1.dead → queue a.classic.dead by `a.classic`
          rabbitry.v1.delay.out → queue a.classic by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.queue.a.classic`
          rabbitry.v1.dead → queue billing.in.dead by `billing.in`
          rabbitry.v1.delay.out → queue billing.in by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.queue.billing.in`
          events → queue a.classic by `x`
          events → queue billing.in by `x`
    "#]],
    );
}

#[test]
fn a_ladder_of_one_s_own() {
    let service = PlannedService {
        delays: Some("team.delay".to_owned()),
        ..service(vec![subscription("inventory.reserve_stock", &["order_created"])], Some(1))
    };
    check(
        &service,
        &expect![[r#"
            exchanges
              events topic
              rabbitry.v1.undeliverable fanout
              team.delay.00 topic alternate-exchange=rabbitry.v1.undeliverable
              team.delay.out topic alternate-exchange=rabbitry.v1.undeliverable
              rabbitry.v1.dead direct alternate-exchange=rabbitry.v1.undeliverable
            queues
              rabbitry.v1.undeliverable quorum x-delivery-limit=2147483647
              team.delay.00 quorum x-dead-letter-exchange=team.delay.out x-dead-letter-strategy=at-least-once x-delivery-limit=2147483647 x-message-ttl=1000 x-overflow=reject-publish
              team.delay.unwanted quorum x-delivery-limit=2147483647 x-max-length=0 x-overflow=drop-head
              inventory.reserve_stock.dead quorum x-delivery-limit=2147483647
              inventory.reserve_stock quorum x-dead-letter-exchange=rabbitry.v1.dead x-dead-letter-routing-key=inventory.reserve_stock x-dead-letter-strategy=at-least-once x-delivery-limit=20 x-overflow=reject-publish
            bindings
              rabbitry.v1.undeliverable → queue rabbitry.v1.undeliverable by ``
              team.delay.00 → queue team.delay.00 by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.1.#`
              team.delay.00 → exchange team.delay.out by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.0.#`
              team.delay.out → queue team.delay.unwanted by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.exchange.events`
              team.delay.out → exchange events by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.exchange.events`
              rabbitry.v1.dead → queue inventory.reserve_stock.dead by `inventory.reserve_stock`
              team.delay.out → queue inventory.reserve_stock by `*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.queue.inventory.reserve_stock`
              events → queue inventory.reserve_stock by `order_created`
        "#]],
    );
}

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
