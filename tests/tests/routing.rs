//! Who gets an event: instances, services, patterns, broadcasts, and systems that were there before.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rabbitry::{
    AnyEvent, Attempt, Exchange, ExchangeKind, QueueType, RetryPolicy, Service, Subscription, SubscriptionOptions,
    testing::{self, Place},
    topology::Argument,
    transport::Properties,
};
use rabbitry_tests::{
    Books, Record, Stranger, any, assert_each_once, eventually, integer, json, note, number, numbered, on_both,
    publish_numbers, queues, stop_all, text, texts,
};
use serde_json::json;
use tokio::sync::Barrier;

/// An instance of `stock` that notes what it got, once both instances have something.
fn instance(seen: &Record<u64>, both: &Arc<Barrier>) -> Service {
    let (record, both, first) = (seen.clone(), Arc::clone(both), Arc::new(AtomicBool::new(true)));
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
    Service::new("stock").subscription(subscription)
}

/// A handler that notes the names of events.
fn named(record: &Record<String>) -> impl Fn(AnyEvent) -> std::future::Ready<()> + Send + Sync + 'static + use<> {
    let record = record.clone();
    move |event| {
        record.add(event.name().to_owned());
        std::future::ready(())
    }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// A broadcast handler of `cache` that notes what it got and how often it tried.
fn broadcast(
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
    Service::new("cache").subscription(subscription)
}

/// Joins a queue that is bound in a way of its own, publishes three events that match and one that does not.
async fn joined(
    place: Place,
    prepare: impl AsyncFnOnce(&Stranger),
    options: SubscriptionOptions,
    publish: impl AsyncFnOnce(&Stranger),
) {
    let mut test = testing::start_on(place, []).await;
    let stranger = Stranger::on(&test.broker()).await;
    prepare(&stranger).await;
    let seen = Record::default();
    test.start_another(Service::new("billing").subscription(options.handler(note(&seen)))).await;
    publish(&stranger).await;
    let mut numbers = seen.wait_for(3).await;
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
    Books::after(test).await.balance(3, 3);
    assert_eq!(seen.len(), 3);
}

on_both! {
async fn instances_of_a_service_share_the_events(place: Place) {
    let both = Arc::new(Barrier::new(2));
    let seen = [Record::default(), Record::default()];
    let test = testing::start_on(place, seen.each_ref().map(|record| instance(record, &both))).await;
    publish_numbers(&test.publisher(), "order", 0..200).await;
    eventually("all are handled", || async { seen[0].len() + seen[1].len() >= 200 }).await;
    assert!(!seen[0].is_empty() && !seen[1].is_empty(), "one instance got nothing");
    let books = Books::after(test).await;
    assert_each_once([seen[0].all(), seen[1].all()].concat(), 0..200);
    books.balance(200, 200);
}

async fn each_service_gets_a_copy(place: Place) {
    let (stock, mail) = (Record::default(), Record::default());
    let services = [
        Service::new("stock").subscribe("order", note(&stock)),
        Service::new("mail").subscribe("order", note(&mail)),
    ];
    let test = testing::start_on(place, services).await;
    publish_numbers(&test.publisher(), "order", 0..50).await;
    assert_each_once(stock.wait_for(50).await, 0..50);
    assert_each_once(mail.wait_for(50).await, 0..50);
    Books::after(test).await.balance(100, 100);
}

async fn patterns_take_words(place: Place) {
    let (one_word, every, two) = (Record::default(), Record::default(), Record::default());
    let service = Service::new("audit")
        .subscribe("order.*", named(&one_word))
        .subscribe("#", named(&every))
        // One queue with two bindings that both match gets one copy.
        .subscription(Subscription::to("order.#").and("*.created").name("either").handler(named(&two)));
    let mut test = testing::start_on(place, service).await;
    for name in ["order", "order.created", "order.item.added", "stock.created", "stock.updated"] {
        test.publish(AnyEvent::new(name, &json!({})).unwrap()).await;
    }
    test.settled().await;
    assert_eq!(one_word.wait_for(1).await, ["order.created"]);
    assert_eq!(
        sorted(every.wait_for(5).await),
        ["order", "order.created", "order.item.added", "stock.created", "stock.updated"]
    );
    assert_eq!(sorted(two.wait_for(4).await), ["order", "order.created", "order.item.added", "stock.created"]);
    Books::after(test).await.balance(10, one_word.len() + every.len() + two.len());
}

async fn a_broadcast_reaches_every_instance(place: Place) {
    let seen: [Record<u64>; 3] = std::array::from_fn(|_| Record::default());
    let instances = seen.each_ref().map(|seen| broadcast(seen, &Record::default(), |_, _| false));
    let mut test = testing::start_on(place, instances).await;
    publish_numbers(&test.publisher(), "price", 0..20).await;
    for seen in &seen {
        assert_each_once(seen.wait_for(20).await, 0..20);
    }
    stop_all(&mut test).await;
    assert!(seen.iter().all(|seen| seen.len() == 20), "{seen:?}");
    // The instances' own queues are gone with them; the one for all their dead letters stays.
    let queues = queues(&test).await;
    assert!(queues.contains(&"cache.price.dead".to_owned()), "{queues:?}");
    assert!(queues.iter().all(|queue| queue.starts_with("rabbitry.") || queue == "cache.price.dead"), "{queues:?}");
    Books::after(test).await.balance(60, 60);
}

async fn a_failing_broadcast_is_retried_in_its_process_and_then_dead(place: Place) {
    let (seen, tries, calm) = (Record::default(), Record::default(), Record::default());
    let instances = [
        broadcast(&seen, &tries, |number, attempt| number == 1 || attempt == 1),
        broadcast(&calm, &Record::default(), |_, _| false),
    ];
    let mut test = testing::start_on(place, instances).await;
    publish_numbers(&test.publisher(), "price", 0..2).await;
    test.settled().await;
    let stranger = Stranger::on(&test.broker()).await;
    let dead = stranger.take("cache.price.dead", 1).await.remove(0);
    assert_eq!(json(&dead)["data"], 1);
    assert_eq!(integer(&dead, "rabbitry-attempt"), Some(3));
    assert_eq!(text(&dead, "rabbitry-handler"), "price");
    assert!(text(&dead, "rabbitry-error").contains("no price 1"), "{dead:?}");
    assert_eq!(seen.wait_for(1).await, [0]);
    // Two for the first event, and three for the other.
    assert_eq!(tries.len(), 5);
    // Whoever did well is not bothered.
    assert_each_once(calm.wait_for(2).await, 0..2);
    let books = Books::after(test).await;
    assert_eq!(calm.len(), 2);
    // One was dead and taken.
    books.balance(4, 3 + 1);
}

/// The test cuts the connections between the service and the broker; see also `routing_rabbitmq.rs`.
async fn a_broadcast_receives_again_after_its_connection_was_cut(place: Place) {
    let seen = Record::default();
    let test = testing::start_on(place, broadcast(&seen, &Record::default(), |_, _| false)).await;
    publish_numbers(&test.publisher(), "price", 0..1).await;
    seen.wait_for(1).await;
    let before = queues(&test).await;
    test.cut_connections();
    // It may be up again before anybody sees it down, with a queue of another name.
    eventually("a new queue", || async { queues(&test).await.iter().any(|queue| !before.contains(queue)) }).await;
    eventually("it is up again", || async { test.running(0).health().is_ready() }).await;
    publish_numbers(&test.publisher(), "price", 1..11).await;
    assert_each_once(seen.wait_for(11).await, 0..11);
    Books::after(test).await.balance(11, 11);
    assert_eq!(seen.len(), 11);
}

async fn a_direct_exchange_is_joined(place: Place) {
    let options = Subscription::to("order")
        .exchange(Exchange::named("legacy", ExchangeKind::Direct))
        .binding_key("ORDER")
        .queue("billing.in");
    let prepare = async |stranger: &Stranger| stranger.declare_exchange("legacy", ExchangeKind::Direct).await;
    joined(place, prepare, options, async |stranger| {
        for number in ["1", "2", "3"] {
            stranger.publish("legacy", "ORDER", Properties::default(), number.as_bytes()).await;
        }
        stranger.publish_unheard("legacy", "order", Properties::default(), b"4").await;
    })
    .await;
}

async fn a_headers_exchange_is_joined(place: Place) {
    let options = Subscription::to("order")
        .exchange(Exchange::named("by-header", ExchangeKind::Headers))
        .binding_argument("x-match", "all")
        .binding_argument("kind", "order");
    let of_kind = |kind: &str| Properties { headers: texts(&[("kind", kind)]), ..Properties::default() };
    let prepare = async |stranger: &Stranger| stranger.declare_exchange("by-header", ExchangeKind::Headers).await;
    joined(place, prepare, options, async |stranger| {
        stranger.publish_unheard("by-header", "", of_kind("other"), b"4").await;
        for number in ["1", "2", "3"] {
            stranger.publish("by-header", "", of_kind("order"), number.as_bytes()).await;
        }
    })
    .await;
}

async fn an_exchange_of_another_type_is_taken_as_it_is(place: Place) {
    // It is said to be a topic exchange by default, and is a fanout.
    let options = Subscription::to("order").exchange("all").queue_type(QueueType::Classic).queue("billing.classic");
    let prepare = async |stranger: &Stranger| stranger.declare_exchange("all", ExchangeKind::Fanout).await;
    joined(place, prepare, options, async |stranger| {
        for number in ["1", "2", "3"] {
            stranger.publish("all", "whatever", Properties::default(), number.as_bytes()).await;
        }
    })
    .await;
}

async fn an_existing_queue_is_consumed_as_it_is(place: Place) {
    let options = Subscription::to("order").queue_type(QueueType::Existing).queue("in");
    let prepare = async |stranger: &Stranger| {
        let arguments = [("x-max-priority", Argument::Integer(3))];
        stranger.declare_queue_with("in", QueueType::Classic, &arguments, None).await;
    };
    joined(place, prepare, options, async |stranger| {
        for number in ["1", "2"] {
            stranger.publish("", "in", Properties::default(), number.as_bytes()).await;
        }
        stranger.publish("events", "order", Properties::default(), b"3").await;
    })
    .await;
}

async fn a_failing_event_of_a_joined_queue_is_retried_and_dead_lettered(place: Place) {
    let mut test = testing::start_on(place, []).await;
    let stranger = Stranger::on(&test.broker()).await;
    stranger.declare_exchange("legacy", ExchangeKind::Direct).await;
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
    test.start_another(Service::new("billing").delays("team.delay").subscription(subscription)).await;
    stranger.publish("legacy", "order", Properties::default(), b"1").await;
    test.settled().await;
    let dead = stranger.take("billing.in.dead", 1).await.remove(0);
    assert_eq!(tries.all(), [1, 2]);
    assert_eq!(&dead.body[..], b"1");
    let queues = queues(&test).await;
    assert!(queues.contains(&"team.delay.00".to_owned()), "{queues:?}");
    assert!(!queues.iter().any(|queue| queue.starts_with("rabbitry.v1.delay")), "{queues:?}");
    Books::after(test).await.balance(1, 1);
}

async fn retries_go_to_the_queue_that_failed_alone(place: Place) {
    let policy = RetryPolicy::default().attempts(2).immediate(0);
    let (first, second) = (Record::default(), Record::default());
    let record = first.clone();
    let failing = Subscription::to("order").name("a.b").retry(policy).handler(move |_: AnyEvent, attempt: Attempt| {
        record.add(attempt.number);
        async move { if attempt.number == 1 { Err("once") } else { Ok(()) } }
    });
    let service = Service::new("x")
        .publishes::<AnyEvent>()
        .subscription(failing)
        // Its queue, `x.b`, is not the end of `x.a.b` as the broker matches words.
        .subscription(Subscription::to("order").name("b").handler(note(&second)));
    let mut test = testing::start_on(place, service).await;
    any(test.running(0)).publish(numbered("order", 1)).await.unwrap();
    test.settled().await;
    assert_eq!(first.all(), [1, 2]);
    let books = Books::after(test).await;
    assert_eq!(second.all(), [1]);
    books.balance(2, 2);
}
}
