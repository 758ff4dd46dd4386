//! Events that are published now and come later.

use std::time::{Duration, SystemTime};

use rabbitry::{AnyEvent, PublishError, RetryPolicy, Running, Service, Subscription};
use rabbitry_tests::{Books, Record, TestBroker, any, note, number, numbered, within};

async fn start(service: Service) -> Running {
    within("starting", service.start()).await.unwrap()
}

async fn stop(running: &Running) {
    within("stopping", running.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_event_comes_when_it_is_due_to_all_that_are_bound() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let record = seen.clone();
    let service = Service::new("reminder")
        .broker(broker.url())
        .publishes::<AnyEvent>()
        .schedules_up_to("10s")
        .subscribe("order", move |event: AnyEvent| {
            record.add((number(&event), SystemTime::now()));
            async {}
        });
    let running = start(service).await;
    let client = broker.client().await;
    client.declare_queue("stranger", "events", "#").await;
    let began = SystemTime::now();
    let publisher = any(&running);
    // Rounded up to whole seconds: the ladder knows no halves.
    publisher.event(numbered("order", 2)).after(Duration::from_millis(1500)).publish().await.unwrap();
    publisher.event(numbered("order", 3)).at(began + Duration::from_secs(3)).publish().await.unwrap();
    publisher.event(numbered("order", 0)).at(began - Duration::from_secs(3)).publish().await.unwrap();
    publisher.event(numbered("order", 1)).after(Duration::ZERO).publish().await.unwrap();
    for (number, at) in seen.wait_for(4).await {
        let waited = at.duration_since(began).unwrap();
        let due = Duration::from_secs(if number < 2 { 0 } else { number });
        assert!(waited >= due, "event {number} came after {waited:?}");
    }
    let strange = client.receive("stranger", 4).await;
    let mut numbers: Vec<_> = strange.iter().filter_map(|raw| raw.json()["data"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);
    stop(&running).await;
    assert_eq!(seen.len(), 4);
    // Once each: nothing is left in the stranger's queue.
    Books::read(&broker).await.balance(8, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_event_goes_to_whoever_is_bound_when_it_is_due() {
    let broker = TestBroker::new().await;
    let sender = start(Service::new("sender").broker(broker.url()).publishes::<AnyEvent>().schedules_up_to("1m")).await;
    any(&sender).event(numbered("order", 1)).after("10s").publish().await.unwrap();
    let began = SystemTime::now();
    let seen = Record::default();
    let later = start(Service::new("later").broker(broker.url()).subscribe("order", note(&seen))).await;
    assert!(began.elapsed().unwrap() < Duration::from_secs(10), "the machine is too slow to say anything");
    assert!(seen.is_empty());
    assert_eq!(seen.wait_for(1).await, [1]);
    assert!(began.elapsed().unwrap() >= Duration::from_secs(9));
    stop(&sender).await;
    stop(&later).await;
    Books::read(&broker).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_no_one_wants_when_they_are_due_hold_up_nothing() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let service = Service::new("reminder")
        .broker(broker.url())
        .publishes::<AnyEvent>()
        .schedules_up_to("10s")
        .subscribe("wanted", note(&seen));
    let running = start(service).await;
    // 33 that are stuck stop a queue that moves messages on at least once.
    for number in 0..40 {
        any(&running).event(numbered("unwanted", number)).after("1s").publish().await.unwrap();
    }
    any(&running).event(numbered("wanted", 40)).after("2s").publish().await.unwrap();
    any(&running).event(numbered("wanted", 41)).after("3s").publish().await.unwrap();
    assert_eq!(seen.wait_for(2).await, [40, 41]);
    stop(&running).await;
    // Like any event that no one wants.
    Books::read(&broker).await.balance(2, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_delay_needs_no_ladder() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let once = RetryPolicy::default().attempts(1);
    let subscriber = Service::new("stock")
        .broker(broker.url())
        .publishes::<AnyEvent>()
        .subscription(Subscription::to("order").retry(once).handler(note(&seen)));
    let subscriber = start(subscriber).await;
    let sender = start(Service::new("sender").broker(broker.url()).publishes::<AnyEvent>()).await;
    any(&sender).event(numbered("order", 1)).after("0s").publish().await.unwrap();
    any(&sender).event(numbered("order", 2)).at(SystemTime::now() - Duration::from_secs(9)).publish().await.unwrap();
    any(&subscriber).event(numbered("order", 3)).after("0s").publish().await.unwrap();
    assert_eq!(seen.wait_for(3).await.len(), 3);
    stop(&sender).await;
    stop(&subscriber).await;
    Books::read(&broker).await.balance(3, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_that_the_ladder_does_not_hold_is_an_error() {
    let broker = TestBroker::new().await;
    let sender = start(Service::new("sender").broker(broker.url()).publishes::<AnyEvent>().schedules_up_to("7s")).await;
    let error = any(&sender).event(numbered("order", 1)).after("8s").publish().await.unwrap_err();
    assert!(matches!(error, PublishError::TooFarAhead { .. }), "{error:?}");
    assert!(error.to_string().contains("schedules_up_to"), "{error}");
    let error = any(&sender).event(numbered("order", 1)).after("soon").publish().await.unwrap_err();
    assert!(error.to_string().contains("`soon` is not a length of time"), "{error}");
    stop(&sender).await;
    Books::read(&broker).await.balance(0, 0);
}
