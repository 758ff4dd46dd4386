//! Who gets an event: instances, services, patterns, broadcasts, and systems that were there before.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rabbitry::{
    AnyEvent, Attempt, Exchange, ExchangeKind, QueueType, RetryPolicy, Running, Service, Subscription,
    SubscriptionOptions,
};
use rabbitry_tests::{
    Books, Header, Record, TestBroker, any, assert_each_once, eventually, note, number, numbered, publish_numbers,
    within,
};
use serde_json::json;
use tokio::sync::Barrier;

async fn start(service: Service) -> Running {
    within("starting", service.start()).await.unwrap()
}

async fn stop(running: &Running) {
    within("stopping", running.shutdown()).await.unwrap();
}

async fn sender(broker: &TestBroker) -> Running {
    start(Service::new("sender").broker(broker.url()).publishes::<AnyEvent>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_a_service_share_the_events() {
    let broker = TestBroker::new().await;
    let both = Arc::new(Barrier::new(2));
    let seen = [Record::default(), Record::default()];
    let mut instances = Vec::new();
    for record in &seen {
        let (record, both, first) = (record.clone(), Arc::clone(&both), Arc::new(AtomicBool::new(true)));
        let subscription = Subscription::to("order").concurrency(1).handler(move |event: AnyEvent| {
            let (record, both, first) = (record.clone(), Arc::clone(&both), Arc::clone(&first));
            async move {
                // Neither takes a second one before the other has a first.
                if first.swap(false, Ordering::Relaxed) {
                    both.wait().await;
                }
                record.add(number(&event));
            }
        });
        instances.push(start(Service::new("stock").broker(broker.url()).subscription(subscription)).await);
    }
    let sender = sender(&broker).await;
    publish_numbers(&any(&sender), "order", 0..200).await;
    eventually("all are handled", || async { seen[0].len() + seen[1].len() >= 200 }).await;
    assert!(!seen[0].is_empty() && !seen[1].is_empty(), "one instance got nothing");
    for instance in &instances {
        stop(instance).await;
    }
    assert_each_once([seen[0].all(), seen[1].all()].concat(), 0..200);
    stop(&sender).await;
    Books::read(&broker).await.balance(200, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_gets_a_copy() {
    let broker = TestBroker::new().await;
    let (stock, mail) = (Record::default(), Record::default());
    let services = [
        start(Service::new("stock").broker(broker.url()).subscribe("order", note(&stock))).await,
        start(Service::new("mail").broker(broker.url()).subscribe("order", note(&mail))).await,
    ];
    let sender = sender(&broker).await;
    publish_numbers(&any(&sender), "order", 0..50).await;
    assert_each_once(stock.wait_for(50).await, 0..50);
    assert_each_once(mail.wait_for(50).await, 0..50);
    for running in services.iter().chain([&sender]) {
        stop(running).await;
    }
    Books::read(&broker).await.balance(100, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_take_words() {
    let broker = TestBroker::new().await;
    let named = |record: &Record<String>| {
        let record = record.clone();
        move |event: AnyEvent| {
            record.add(event.name().to_owned());
            async {}
        }
    };
    let (one_word, every, two) = (Record::default(), Record::default(), Record::default());
    let service = Service::new("audit")
        .broker(broker.url())
        .publishes::<AnyEvent>()
        .subscribe("order.*", named(&one_word))
        .subscribe("#", named(&every))
        // One queue with two bindings that both match gets one copy.
        .subscription(Subscription::to("order.#").and("*.created").name("either").handler(named(&two)));
    let running = start(service).await;
    for name in ["order", "order.created", "order.item.added", "stock.created", "stock.updated"] {
        any(&running).publish_value(name, json!({}), None).await.unwrap();
    }
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(one_word.wait_for(1).await, ["order.created"]);
    assert_eq!(
        sorted(every.wait_for(5).await),
        ["order", "order.created", "order.item.added", "stock.created", "stock.updated"]
    );
    assert_eq!(sorted(two.wait_for(4).await), ["order", "order.created", "order.item.added", "stock.created"]);
    stop(&running).await;
    Books::read(&broker).await.balance(10, one_word.len() + every.len() + two.len());
}

/// A broadcast handler of `cache` that notes what it got and how often it tried.
fn broadcast(
    broker: &TestBroker,
    seen: &Record<u64>,
    tries: &Record<u32>,
    fails: impl Fn(u64, u32) -> bool + Send + Sync + 'static,
) -> Service {
    let (seen, tries) = (seen.clone(), tries.clone());
    let policy = RetryPolicy::default().attempts(3).immediate(1);
    let subscription =
        Subscription::to("price").broadcast().retry(policy).handler(move |event: AnyEvent, attempt: Attempt| {
            tries.add(attempt.number);
            let (number, failed) = (number(&event), fails(number(&event), attempt.number));
            if !failed {
                seen.add(number);
            }
            async move { if failed { Err(format!("no price {number}")) } else { Ok(()) } }
        });
    Service::new("cache").broker(broker.url()).subscription(subscription)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_reaches_every_instance() {
    let broker = TestBroker::new().await;
    let mut instances = Vec::new();
    for _ in 0..3 {
        let (seen, tries) = (Record::default(), Record::default());
        instances.push((start(broadcast(&broker, &seen, &tries, |_, _| false)).await, seen));
    }
    let sender = sender(&broker).await;
    publish_numbers(&any(&sender), "price", 0..20).await;
    for (running, seen) in &instances {
        assert_each_once(seen.wait_for(20).await, 0..20);
        stop(running).await;
    }
    stop(&sender).await;
    // The instances' own queues are gone with them; the one for all their dead letters stays.
    let queues = broker.list("list_queues", &["name"]).await.concat();
    assert!(queues.contains(&"cache.price.dead".to_owned()), "{queues:?}");
    assert!(queues.iter().all(|queue| queue.starts_with("rabbitry.") || queue == "cache.price.dead"), "{queues:?}");
    Books::read(&broker).await.balance(60, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_broadcast_is_retried_in_its_process_and_then_dead() {
    let broker = TestBroker::new().await;
    let (seen, tries) = (Record::default(), Record::default());
    let failing = start(broadcast(&broker, &seen, &tries, |number, attempt| number == 1 || attempt == 1)).await;
    let calm = Record::default();
    let other = start(broadcast(&broker, &calm, &Record::default(), |_, _| false)).await;
    let sender = sender(&broker).await;
    publish_numbers(&any(&sender), "price", 0..2).await;
    let client = broker.client().await;
    let dead = client.receive("cache.price.dead", 1).await;
    assert_eq!(dead[0].json()["data"], 1);
    assert_eq!(dead[0].number("rabbitry-attempt"), Some(3));
    assert_eq!(dead[0].text("rabbitry-handler"), "price");
    assert!(dead[0].text("rabbitry-error").contains("no price 1"), "{dead:?}");
    assert_eq!(seen.wait_for(1).await, [0]);
    // Two for the first event, and three for the other.
    assert_eq!(tries.len(), 5);
    // Whoever did well is not bothered.
    assert_each_once(calm.wait_for(2).await, 0..2);
    for running in [&failing, &other, &sender] {
        stop(running).await;
    }
    assert_eq!(calm.len(), 2);
    // One was dead and taken.
    Books::read(&broker).await.balance(4, 3 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_receives_again_after_its_connection_was_lost() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let running = start(broadcast(&broker, &seen, &Record::default(), |_, _| false)).await;
    let sender = sender(&broker).await;
    publish_numbers(&any(&sender), "price", 0..1).await;
    seen.wait_for(1).await;
    let before = broker.queues().await;
    broker.close_connections().await;
    // It may be up again before anybody sees it down, with a queue of another name.
    eventually("a new queue", || async { broker.queues().await.iter().any(|queue| !before.contains(queue)) }).await;
    eventually("it is up again", || async { running.health().is_ready() }).await;
    publish_numbers(&any(&sender), "price", 1..11).await;
    assert_each_once(seen.wait_for(11).await, 0..11);
    stop(&running).await;
    stop(&sender).await;
    Books::read(&broker).await.balance(11, 11);
}

/// Joins a queue that is bound in a way of its own, publishes three events that match and one that does not.
async fn joined(
    name: &str,
    prepare: impl AsyncFnOnce(&TestBroker),
    options: SubscriptionOptions,
    publish: impl AsyncFnOnce(&rabbitry_tests::Client),
) {
    let broker = TestBroker::new().await;
    prepare(&broker).await;
    let seen = Record::default();
    let running = start(Service::new("billing").broker(broker.url()).subscription(options.handler(note(&seen)))).await;
    let client = broker.client().await;
    publish(&client).await;
    let mut numbers = seen.wait_for(3).await;
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3], "{name}");
    stop(&running).await;
    Books::read(&broker).await.balance(3, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_exchange_is_joined() {
    let options = Subscription::to("order")
        .exchange(Exchange::named("legacy", ExchangeKind::Direct))
        .binding_key("ORDER")
        .queue("billing.in");
    let prepare = async |broker: &TestBroker| {
        broker.client().await.declare_exchange("legacy", lapin::ExchangeKind::Direct).await;
    };
    joined("direct", prepare, options, async |client| {
        for number in ["1", "2", "3"] {
            client.publish("legacy", "ORDER", Default::default(), number.as_bytes()).await;
        }
        client.publish("legacy", "order", Default::default(), b"4").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_headers_exchange_is_joined() {
    let options = Subscription::to("order")
        .exchange(Exchange::named("by-header", ExchangeKind::Headers))
        .binding_argument("x-match", "all")
        .binding_argument("kind", "order");
    let of_kind = |kind: &str| {
        let headers = rabbitry_tests::table(&[("kind", Header::LongString(kind.into()))]);
        lapin::BasicProperties::default().with_headers(headers)
    };
    let prepare = async |broker: &TestBroker| {
        broker.client().await.declare_exchange("by-header", lapin::ExchangeKind::Headers).await;
    };
    joined("headers", prepare, options, async |client| {
        client.publish("by-header", "", of_kind("other"), b"4").await;
        for number in ["1", "2", "3"] {
            client.publish("by-header", "", of_kind("order"), number.as_bytes()).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_another_type_is_taken_as_it_is() {
    // It is said to be a topic exchange by default, and is a fanout.
    let options = Subscription::to("order").exchange("all").queue_type(QueueType::Classic).queue("billing.classic");
    let prepare = async |broker: &TestBroker| {
        broker.client().await.declare_exchange("all", lapin::ExchangeKind::Fanout).await;
    };
    joined("fanout", prepare, options, async |client| {
        for number in ["1", "2", "3"] {
            client.publish("all", "whatever", Default::default(), number.as_bytes()).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_queue_is_consumed_as_it_is() {
    let options = Subscription::to("order").queue_type(QueueType::Existing).queue("in");
    let prepare = async |broker: &TestBroker| {
        let client = broker.client().await;
        client.declare_queue_with("in", &[("x-max-priority", Header::LongInt(3))]).await;
    };
    joined("existing", prepare, options, async |client| {
        for number in ["1", "2"] {
            client.publish("", "in", Default::default(), number.as_bytes()).await;
        }
        client.publish("events", "order", Default::default(), b"3").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_event_of_a_joined_queue_is_retried_and_dead_lettered() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    client.declare_exchange("legacy", lapin::ExchangeKind::Direct).await;
    let policy = RetryPolicy::default().attempts(2).immediate(0);
    let tries = Record::default();
    let record = tries.clone();
    let subscription = Subscription::to("order")
        .exchange(Exchange::named("legacy", ExchangeKind::Direct))
        .queue("billing.in")
        .queue_type(QueueType::Classic)
        .retry(policy)
        .handler(move |_: AnyEvent, attempt: Attempt| {
            record.add(attempt.number);
            async { Err::<(), _>("no") }
        });
    // A ladder of its own: the common one is not even made.
    let service = Service::new("billing").broker(broker.url()).delays("team.delay").subscription(subscription);
    let running = start(service).await;
    client.publish("legacy", "order", Default::default(), b"1").await;
    let dead = client.receive("billing.in.dead", 1).await;
    assert_eq!(tries.all(), [1, 2]);
    assert_eq!(dead[0].body, b"1");
    let queues = broker.list("list_queues", &["name"]).await.concat();
    assert!(queues.contains(&"team.delay.00".to_owned()), "{queues:?}");
    assert!(!queues.iter().any(|queue| queue.starts_with("rabbitry.v1.delay")), "{queues:?}");
    stop(&running).await;
    Books::read(&broker).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_go_to_the_queue_that_failed_alone() {
    let broker = TestBroker::new().await;
    let policy = RetryPolicy::default().attempts(2).immediate(0);
    let (first, second) = (Record::default(), Record::default());
    let record = first.clone();
    let failing = Subscription::to("order").name("a.b").retry(policy).handler(move |_: AnyEvent, attempt: Attempt| {
        record.add(attempt.number);
        async move { if attempt.number == 1 { Err("once") } else { Ok(()) } }
    });
    let service = Service::new("x")
        .broker(broker.url())
        .publishes::<AnyEvent>()
        .subscription(failing)
        // Its queue, `x.b`, is not the end of `x.a.b` as the broker matches words.
        .subscription(Subscription::to("order").name("b").handler(note(&second)));
    let running = start(service).await;
    any(&running).publish(numbered("order", 1)).await.unwrap();
    assert_eq!(first.wait_for(2).await, [1, 2]);
    stop(&running).await;
    assert_eq!(second.all(), [1]);
    Books::read(&broker).await.balance(2, 2);
}
