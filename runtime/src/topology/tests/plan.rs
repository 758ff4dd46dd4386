//! The plans of small services, whole.

use expect_test::{Expect, expect};

use super::{service, subscription};
use crate::topology::{PlannedService, PlannedSubscription, QueueType, plan};

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
