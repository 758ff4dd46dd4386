//! Every publisher gets its own event's answer, whatever the broker says to the others.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{FutureExt, future::join_all};
use rabbitry::{AnyEvent, Format, PublishError, Publisher, Service, TopologyMode, Unrouted, event};
use rabbitry_tests::{
    Books, Header, Node, Record, TestBroker, any, assert_each_once, eventually, note, numbered, publish_numbers, stop,
    within,
};
use serde_json::json;
use tokio::sync::Semaphore;

/// Goes through an exchange of its own.
#[event("parcel_sent", exchange = "parcels")]
struct ParcelSent {
    number: u64,
}

fn sender() -> Service {
    Service::new("sender").publishes::<AnyEvent>()
}

/// Publishes `count` events at once; the answers, in their order. Every fifth has a name that no queue is bound for.
async fn every_fifth_unwanted(publisher: &Publisher<AnyEvent>, count: u64) -> Vec<Result<(), PublishError>> {
    let publications = (0..count).map(|number| {
        let name = if number % 5 == 0 { "unwanted" } else { "wanted" };
        publisher.publish(numbered(name, number)).map(|published| published.map(drop))
    });
    within("publishing", join_all(publications)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unrouted_events_are_counted() {
    let broker = TestBroker::new().await;
    let running = broker.start(sender()).await;
    broker.client().await.declare_queue("stranger", "events", "wanted").await;
    let answers = every_fifth_unwanted(&any(&running), 100).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(running.health().unrouted, 20);
    stop(running).await;
    Books::read(&broker).await.balance(80, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unrouted_events_are_errors_of_their_own_callers() {
    let broker = TestBroker::new().await;
    let running = broker.start(sender().unrouted(Unrouted::Fail)).await;
    broker.client().await.declare_queue("stranger", "events", "wanted").await;
    for (number, answer) in every_fifth_unwanted(&any(&running), 2000).await.iter().enumerate() {
        match answer {
            Ok(()) => assert_ne!(number % 5, 0, "event {number} reached no queue"),
            Err(PublishError::Unrouted { event, exchange, in_doubt: false }) => {
                assert_eq!((number % 5, event.as_str(), exchange.as_str()), (0, "unwanted", "events"));
            }
            Err(error) => panic!("event {number}: {error:?}"),
        }
    }
    assert_eq!(running.health().unrouted, 400);
    // Two events with one id that the user gave them are two events.
    let publisher = any(&running);
    let [wanted, unwanted] = ["wanted", "unwanted"].map(|name| publisher.event(numbered(name, 1)).id("1").publish());
    let (wanted, unwanted) = tokio::join!(wanted, unwanted);
    assert!(wanted.is_ok() && matches!(unwanted, Err(PublishError::Unrouted { .. })), "{wanted:?} {unwanted:?}");
    stop(running).await;
    Books::read(&broker).await.balance(1601, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_answers_no_caller_wrongly() {
    let broker = TestBroker::new().await;
    let running = broker.start(sender().unrouted(Unrouted::Fail)).await;
    let client = broker.client().await;
    client.declare_queue_with("stranger", &[("x-queue-type", Header::LongString("quorum".into()))]).await;
    client.bind("stranger", "events", "wanted").await;
    let publisher = any(&running);
    let publishing = tokio::spawn(async move { every_fifth_unwanted(&publisher, 20_000).await });
    for _ in 0..3 {
        // In the middle of it.
        let before = running.health().unrouted;
        eventually("events flow", || async { running.health().unrouted > before || publishing.is_finished() }).await;
        broker.close_connections().await;
    }
    for (number, answer) in within("all answers", publishing).await.unwrap().iter().enumerate() {
        match answer {
            Ok(()) => assert_ne!(number % 5, 0, "event {number} reached no queue"),
            Err(PublishError::Unrouted { .. }) => assert_eq!(number % 5, 0),
            Err(error) => panic!("event {number}: {error:?}"),
        }
    }
    stop(running).await;
    let client = broker.client().await;
    let count = client.count("stranger").await.unwrap();
    let stored = client.receive("stranger", count as usize).await;
    let stored: BTreeSet<u64> = stored.iter().filter_map(|raw| raw.json()["data"].as_u64()).collect();
    assert_eq!(stored, (0..20_000).filter(|number| number % 5 != 0).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_its_own_events_only() {
    let broker = TestBroker::new().await;
    let running = broker.start(sender().publish_timeout("5s")).await;
    let client = broker.client().await;
    let full = [("x-max-length", Header::LongInt(50)), ("x-overflow", Header::LongString("reject-publish".into()))];
    client.declare_queue_with("full", &full).await;
    client.bind("full", "events", "full").await;
    client.declare_queue("fine", "events", "fine").await;
    let publisher = any(&running);
    let tasks = (0..8).map(|_| {
        let publisher = publisher.clone();
        tokio::spawn(async move {
            let publications = (0..50).map(|number| {
                let name = if number % 2 == 0 { "full" } else { "fine" };
                publisher.publish(numbered(name, number)).map(move |answer| (name, answer))
            });
            join_all(publications).await
        })
    });
    let (mut full, mut fine, mut nacked) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (name, answer) in within("publishing", join_all(tasks)).await.into_iter().flat_map(Result::unwrap) {
        match answer {
            Ok(published) if name == "full" => _ = full.insert(published.id().to_owned()),
            Ok(published) => _ = fine.insert(published.id().to_owned()),
            Err(error) => {
                assert!(
                    matches!(&error, PublishError::Nacked { event, tries: 4..=7 } if event == "full"),
                    "{name}: {error:?}"
                );
                assert!(error.is_temporary() && error.to_string().contains("one is full"), "{error}");
                nacked += 1;
            }
        }
    }
    assert_eq!((full.len(), nacked, fine.len()), (50, 150, 200));
    // Who was told that it is stored, is; who was not, is not.
    let ids = async |queue, count| -> BTreeSet<String> {
        client.receive(queue, count).await.iter().map(rabbitry_tests::Raw::id).collect()
    };
    assert_eq!(ids("full", 50).await, full);
    assert_eq!(ids("fine", 200).await, fine);
    stop(running).await;
    Books::read(&broker).await.balance(250, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_was_deleted_is_declared_again() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let running = broker.start(sender().subscribe("order", note(&seen))).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    broker.client().await.delete_exchange("events").await;
    publish_numbers(&any(&running), "order", 1..100).await;
    assert_each_once(seen.wait_for(100).await, 0..100);
    stop(running).await;
    Books::read(&broker).await.balance(100, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_was_deleted_is_declared_again_for_a_single_event() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let running = broker.start(sender().subscribe("order", note(&seen))).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    broker.client().await.delete_exchange("events").await;
    // Alone on its way, it is certainly the one that is refused: the exchange is declared, and it is sent once more.
    any(&running).publish(numbered("order", 1)).await.unwrap();
    assert_eq!(seen.wait_for(2).await, [0, 1]);
    stop(running).await;
    Books::read(&broker).await.balance(2, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_is_not_there_refuses_its_own_events_only() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    client.declare_exchange("events", lapin::ExchangeKind::Topic).await;
    client.declare_queue("stranger", "events", "order").await;
    let service = sender().publishes::<ParcelSent>().topology_mode(TopologyMode::Assume);
    let running = broker.start(service).await;
    let (orders, parcels) = (any(&running), running.publisher::<ParcelSent>().unwrap());
    let orders = (0..100).map(|number| orders.publish(numbered("order", number)));
    let parcels = (0..20).map(|number| parcels.publish(ParcelSent { number }));
    let (orders, parcels) = within("publishing", async { tokio::join!(join_all(orders), join_all(parcels)) }).await;
    assert!(orders.iter().all(Result::is_ok), "{orders:?}");
    for answer in parcels {
        let error = answer.unwrap_err();
        assert!(
            matches!(&error, PublishError::Refused { code: 404, event, .. } if event == "parcel_sent"),
            "{error:?}"
        );
        assert!(error.to_string().contains("parcels") && !error.is_temporary(), "{error}");
    }
    publish_numbers(&any(&running), "order", 100..200).await;
    // What shared a channel with a refused one may have been sent twice.
    let mut numbers = BTreeSet::new();
    while numbers.len() < 200 {
        numbers.extend(client.receive("stranger", 1).await[0].json()["data"].as_u64());
    }
    assert_eq!(numbers, (0..200).collect());
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_before_it_is_written() {
    let broker = TestBroker::new().await;
    let running = broker.start(sender().body_limit(4 << 20).format(Format::Bare)).await;
    broker.client().await.declare_queue("stranger", "events", "#").await;
    let publisher = any(&running);
    let connections = broker.connection_ids().await;
    let error = publisher.publish_value("order", "x".repeat(4 << 20), None).await.unwrap_err();
    assert!(matches!(error, PublishError::TooLarge { size: 4_194_306, limit: 4_194_304, .. }), "{error:?}");
    assert!(error.to_string().contains("Service::body_limit"), "{error}");
    let tenant = json!({ "tenant": "x".repeat(140_000) });
    let error = publisher.publish_value("order", 1, Some(tenant)).await.unwrap_err();
    assert!(matches!(error, PublishError::HeadersTooLarge { excess: 8000..18_000, .. }), "{error:?}");
    let error = publisher.publish_value("Order!", 1, None).await.unwrap_err();
    assert!(matches!(error, PublishError::Name(_)), "{error:?}");
    // The largest that fits, in some thirty frames.
    publisher.publish_value("order", "x".repeat((4 << 20) - 2), None).await.unwrap();
    assert_eq!(broker.client().await.receive("stranger", 1).await[0].body.len(), 4 << 20);
    assert!(broker.connection_ids().await.is_superset(&connections), "a connection was lost");
    stop(running).await;
    Books::read(&broker).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_alarm_stops_publishers_and_no_one_else() {
    let node = Node::private("memory-alarm", &[]).await;
    let broker = TestBroker::on(&node).await;
    let (seen, gate) = (Record::default(), std::sync::Arc::new(Semaphore::new(0)));
    let (record, waiting) = (seen.clone(), std::sync::Arc::clone(&gate));
    let service = sender().publish_timeout("2s").subscribe("order", move |event: AnyEvent| {
        let (record, waiting) = (record.clone(), std::sync::Arc::clone(&waiting));
        async move {
            waiting.acquire().await.unwrap().forget();
            record.add(rabbitry_tests::number(&event));
        }
    });
    let running = broker.start(service).await;
    publish_numbers(&any(&running), "order", 0..100).await;
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"]).await;
    let error = any(&running).publish(numbered("order", 100)).await.unwrap_err();
    assert!(matches!(error, PublishError::TimedOut { after: Duration { .. }, .. }), "{error:?}");
    assert!(error.is_temporary() && error.to_string().contains("may still arrive"), "{error}");
    eventually("it is blocked", || async { running.health().publishing.blocked.is_some() }).await;
    assert!(running.health().consuming.is_some_and(|consuming| consuming.is_up()));
    assert!(!running.health().is_ready());
    gate.add_permits(1000);
    assert_each_once(seen.wait_for(100).await, 0..100);
    // They are acknowledged, too, while the alarm holds.
    let work = || async { Books::read(&broker).await.waiting == 0 };
    eventually("the queue is empty", work).await;
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "2GB"]).await;
    eventually("it is up", || async { running.health().is_ready() }).await;
    publish_numbers(&any(&running), "order", 101..200).await;
    // The one that timed out arrives, as its error said it might.
    assert_each_once(seen.wait_for(200).await, 0..200);
    stop(running).await;
    Books::read(&broker).await.balance(200, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_all_says_which_failed() {
    let broker = TestBroker::new().await;
    let running = broker.start(sender().unrouted(Unrouted::Fail)).await;
    broker.client().await.declare_queue("stranger", "events", "wanted").await;
    let events = |count: u64, unwanted: [u64; 2]| {
        (0..count).map(move |number| numbered(if unwanted.contains(&number) { "unwanted" } else { "wanted" }, number))
    };
    let error = any(&running).publish_all(events(10, [3, 7])).await.unwrap_err();
    assert_eq!((error.sent, error.failed.as_slice()), (10, [3, 7].as_slice()));
    assert!(error.to_string().contains("2 of the 10 events"), "{error}");
    let error = any(&running).publish_all(events(10_000, [0, 9999])).await.unwrap_err();
    assert_eq!(error.failed, [0]);
    assert!(error.sent < 10_000, "it went on after the first failure");
    assert_eq!(any(&running).publish_all(events(5, [5, 5])).await.unwrap(), 5);
    stop(running).await;
    Books::read(&broker).await.balance(8 + (error.sent - 1) + 5, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn publications_that_are_dropped_take_no_place() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let running = broker.start(sender().publish_window(8).subscribe("order", note(&seen))).await;
    let publisher = any(&running);
    for number in 0..500 {
        // Polled once, which sends it as long as there is a place, and dropped.
        let _ = Box::pin(publisher.publish(numbered("dropped", number))).now_or_never();
        publisher.publish(numbered("order", number)).await.unwrap();
    }
    let answers = join_all((500..1000).map(|number| publisher.publish(numbered("order", number)))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_each_once(seen.wait_for(1000).await, 0..1000);
    stop(running).await;
    Books::read(&broker).await.balance(1000, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_declared_events_are_published() {
    let broker = TestBroker::new().await;
    let running = broker.start(Service::new("sender").publishes::<ParcelSent>()).await;
    let error = running.publisher::<AnyEvent>().unwrap_err();
    assert!(error.to_string().contains("any event") && error.to_string().contains(".publishes::<…>()"), "{error}");
    running.publisher::<ParcelSent>().unwrap().publish(ParcelSent { number: 1 }).await.unwrap();
    assert_eq!(running.health().unrouted, 1);
    stop(running).await;
    Books::read(&broker).await.balance(0, 0);
}
