//! Events that are published now and come later: days later on the memory broker, seconds later on RabbitMQ.

use std::time::{Duration, SystemTime};

use rabbitry::{
    AnyEvent, PublishError, QueueType, RetryPolicy, Service, Subscription,
    testing::{self, Place},
};
use rabbitry_tests::{Books, Record, Stranger, any, json, note, number, numbered, on_both};

/// How much later than it is due an event may come: generous, since brokers and machines may be busy.
const LATE: Duration = Duration::from_secs(30);

/// What the delays are counted in.
fn unit(place: &Place) -> Duration {
    match place {
        Place::Memory => Duration::from_secs(86_400),
        Place::Broker(_) => Duration::from_secs(1),
    }
}

on_both! {
async fn a_scheduled_event_comes_when_it_is_due_to_all_that_are_bound(place: Place) {
    let unit = unit(&place);
    let seen = Record::default();
    let record = seen.clone();
    let service = Service::new("reminder").publishes::<AnyEvent>().schedules_up_to(unit * 10).subscribe(
        "order",
        move |event: AnyEvent, metadata: rabbitry::Metadata| {
            record.add((number(&event), metadata.id().unwrap_or_default().to_owned()));
            async {}
        },
    );
    let mut test = testing::start_on(place, service).await;
    let stranger = Stranger::on(&test.broker()).await;
    stranger.declare_queue("stranger", QueueType::Classic, "events", "#").await;
    let began = test.now();
    let publisher = any(test.running(0));
    // Rounded up to whole seconds: the ladder knows no halves.
    publisher.event(numbered("order", 2)).after(unit.mul_f32(1.5)).publish().await.unwrap();
    publisher.event(numbered("order", 3)).at(began + unit * 3).publish().await.unwrap();
    publisher.event(numbered("order", 0)).at(began - unit * 3).publish().await.unwrap();
    publisher.event(numbered("order", 1)).after(Duration::ZERO).publish().await.unwrap();
    test.settled().await;
    let runs = test.handled("order").runs;
    assert_eq!(runs.len(), 4);
    for (number, id) in seen.wait_for(4).await {
        let run = runs.iter().find(|run| run.id.as_ref() == Some(&id)).unwrap();
        let waited = run.began().duration_since(began).unwrap();
        // The halves are rounded up on RabbitMQ, where they are less than a second.
        let due = match number {
            0 | 1 => Duration::ZERO,
            2 if unit > Duration::from_secs(1) => unit.mul_f32(1.5),
            number => unit * u32::try_from(number).unwrap(),
        };
        assert!(waited >= due && waited <= due + LATE, "event {number} came after {waited:?}");
    }
    let strange = stranger.take("stranger", 4).await;
    let mut numbers: Vec<_> = strange.iter().filter_map(|message| json(message)["data"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let books = Books::after(test).await;
    assert_eq!(seen.len(), 4);
    // Once each: nothing is left in the stranger's queue.
    books.balance(8, 8);
}

async fn a_scheduled_event_goes_to_whoever_is_bound_when_it_is_due(place: Place) {
    let unit = unit(&place);
    let sender = Service::new("sender").publishes::<AnyEvent>().schedules_up_to(unit * 60);
    let mut test = testing::start_on(place, sender).await;
    any(test.running(0)).event(numbered("order", 1)).after(unit * 10).publish().await.unwrap();
    let began = test.now();
    let passed = |now: SystemTime| now.duration_since(began).unwrap();
    let seen = Record::default();
    test.start_another(Service::new("later").subscribe("order", note(&seen))).await;
    assert!(passed(test.now()) < unit * 10, "the machine is too slow to say anything");
    assert!(seen.is_empty());
    test.settled().await;
    assert_eq!(seen.all(), [1]);
    let ran = passed(test.handled("order").runs[0].began());
    assert!(ran + Duration::from_secs(1) >= unit * 10 && ran <= unit * 10 + LATE, "{ran:?}");
    Books::after(test).await.balance(1, 1);
}

async fn events_that_no_one_wants_when_they_are_due_hold_up_nothing(place: Place) {
    let unit = unit(&place);
    let seen = Record::default();
    let service = Service::new("reminder").publishes::<AnyEvent>().schedules_up_to(unit * 10);
    let mut test = testing::start_on(place, service.subscribe("wanted", note(&seen))).await;
    let publisher = any(test.running(0));
    // 33 that are stuck stop a queue that moves messages on at least once.
    for number in 0..40 {
        publisher.event(numbered("unwanted", number)).after(unit).publish().await.unwrap();
    }
    publisher.event(numbered("wanted", 40)).after(unit * 2).publish().await.unwrap();
    publisher.event(numbered("wanted", 41)).after(unit * 3).publish().await.unwrap();
    test.settled().await;
    assert_eq!(seen.all(), [40, 41]);
    // Like any event that no one wants.
    Books::after(test).await.balance(2, 2);
}

async fn no_delay_needs_no_ladder(place: Place) {
    let seen = Record::default();
    let once = RetryPolicy::default().attempts(1);
    let services = [
        Service::new("stock")
            .publishes::<AnyEvent>()
            .subscription(Subscription::to("order").retry(once).handler(note(&seen))),
        Service::new("sender").publishes::<AnyEvent>(),
    ];
    let test = testing::start_on(place, services).await;
    let (subscriber, sender) = (any(test.running(0)), any(test.running(1)));
    sender.event(numbered("order", 1)).after("0s").publish().await.unwrap();
    sender.event(numbered("order", 2)).at(test.now() - Duration::from_secs(9)).publish().await.unwrap();
    subscriber.event(numbered("order", 3)).after("0s").publish().await.unwrap();
    assert_eq!(seen.wait_for(3).await.len(), 3);
    Books::after(test).await.balance(3, 3);
}

async fn a_delay_that_the_ladder_does_not_hold_is_an_error(place: Place) {
    let sender = Service::new("sender").publishes::<AnyEvent>().schedules_up_to("7s");
    let test = testing::start_on(place, sender).await;
    let sender = any(test.running(0));
    let error = sender.event(numbered("order", 1)).after("8s").publish().await.unwrap_err();
    assert!(matches!(error, PublishError::TooFarAhead { .. }), "{error:?}");
    assert!(error.to_string().contains("schedules_up_to"), "{error}");
    let error = sender.event(numbered("order", 1)).after("soon").publish().await.unwrap_err();
    assert!(error.to_string().contains("`soon` is not a length of time"), "{error}");
    Books::after(test).await.balance(0, 0);
}
}
