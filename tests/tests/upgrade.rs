//! A rolling upgrade from one version of the plan to the next, and back: services of both run on the same queues.

use std::{collections::BTreeMap, time::Duration};

use rabbitry::{
    AnyEvent, Attempt, Difference, HandlerError, QueueType, RetryPolicy, Service, Subscription,
    prelude::HandlerResultExt,
    testing::{self, Test},
};
use rabbitry_tests::{Books, LATE, Record, Stranger, note, number, numbered, on_both, stop, text, unit};

/// Which events fail at first, and which always.
fn comes_back(number: u64) -> bool {
    number.is_multiple_of(3)
}

fn is_rejected(number: u64) -> bool {
    number % 10 == 7
}

fn retry(delay: Duration) -> RetryPolicy {
    RetryPolicy::default().attempts(3).immediate(0).first(delay).max(delay).factor(1.0).jitter(0.0)
}

/// The service as it is planned by this version. It notes which of its versions handled what.
fn stock(version: u16, delay: Duration, handled: &Record<(u16, u64)>) -> Service {
    let handled = handled.clone();
    let handler = move |event: AnyEvent, attempt: Attempt| {
        let number = number(&event);
        let outcome = if is_rejected(number) {
            Err("nobody wants it").or_reject()
        } else if comes_back(number) && attempt.number == 1 {
            Err(HandlerError::from("not yet"))
        } else {
            handled.add((version, number));
            Ok(())
        };
        async { outcome }
    };
    let subscription = Subscription::to("order").name("reserve").retry(retry(delay)).handler(handler);
    testing::planned_as(version, Service::new("stock").subscription(subscription))
}

async fn publish(test: &Test, numbers: std::ops::Range<u64>) {
    for number in numbers {
        test.publish(numbered("order", number)).await;
    }
}

/// Checks that of these events each ran as often as it had to and when it had to, and that those that were given up are all
/// in the one queue of dead letters.
fn assert_all(test: &Test, numbers: std::ops::Range<u64>, delay: Duration, handled: &Record<(u16, u64)>) {
    let count = numbers.end - numbers.start;
    let mut seen: Vec<u64> = handled.all().into_iter().map(|(_, number)| number).collect();
    seen.sort_unstable();
    assert_eq!(seen, numbers.clone().filter(|number| !is_rejected(*number)).collect::<Vec<_>>());
    let mut runs: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for run in test.handled("reserve").runs {
        runs.entry(run.id.clone().unwrap()).or_default().push(run);
    }
    assert_eq!(runs.len() as u64, count);
    for runs in runs.values().filter(|runs| runs.len() > 1) {
        let attempts: Vec<u32> = runs.iter().map(|run| run.attempt).collect();
        assert_eq!(attempts, [1, 2]);
        let waited = runs[1].began().duration_since(runs[0].ended).unwrap();
        assert!(waited >= delay && waited < delay + LATE, "{waited:?} instead of {delay:?}");
    }
    let again = runs.values().filter(|runs| runs.len() > 1).count() as u64;
    assert_eq!(again, numbers.clone().filter(|number| comes_back(*number) && !is_rejected(*number)).count() as u64);
    let dead = numbers.filter(|number| is_rejected(*number)).count();
    assert_eq!(test.dead_letters("reserve").len(), dead);
}

on_both! {
/// Instances of the next version join those of the one before, take over, and are rolled back: all the while events come,
/// some are retried and some die.
async fn instances_of_two_plans_share_a_queue(place: Place) {
    let delay = unit(&place) * 4;
    let handled = Record::default();
    let mut test = testing::start_on(place, stock(1, delay, &handled)).await;
    publish(&test, 0..30).await;
    // Retries of the first version wait in its ladder, and the second version comes beside it.
    test.start_another(stock(2, delay, &handled)).await;
    publish(&test, 30..60).await;
    // The first version goes; what it had put off comes to the second.
    stop(test.take(0)).await;
    publish(&test, 60..90).await;
    // Back again.
    test.start_another(stock(1, delay, &handled)).await;
    publish(&test, 90..120).await;
    stop(test.take(0)).await;
    publish(&test, 120..150).await;
    test.settled().await;
    assert_all(&test, 0..150, delay, &handled);
    let versions: Vec<u16> = handled.all().into_iter().map(|(version, _)| version).collect();
    assert!(versions.contains(&1) && versions.contains(&2));
    // Each version has its own ladder and its own way to the dead letters.
    for shared in ["rabbitry.v1.delay.00", "rabbitry.v2.delay.00", "rabbitry.v1.undeliverable", "rabbitry.v2.undeliverable"] {
        assert!(rabbitry_tests::queues(&test).await.iter().any(|queue| queue == shared), "{shared}");
    }
    Books::settled_in(&test, 15).await.balance(150, 135);
    test.shutdown().await;
}

/// A queue that the next version made is taken by the version before it, too: a roll-back of a service's first deploy.
async fn a_queue_of_the_next_plan_is_taken_after_a_roll_back(place: Place) {
    let delay = unit(&place);
    let handled = Record::default();
    let mut test = testing::start_on(place, stock(2, delay, &handled)).await;
    publish(&test, 0..10).await;
    stop(test.take(0)).await;
    test.start_another(stock(1, delay, &handled)).await;
    publish(&test, 10..30).await;
    test.settled().await;
    assert_all(&test, 0..30, delay, &handled);
    Books::settled_in(&test, 3).await.balance(30, 27);
    test.shutdown().await;
}

/// A queue of another version is told of, and is nothing to mend in a hurry.
async fn a_queue_of_another_plan_is_told_of(place: Place) {
    for (made_by, version, later) in [(1, 2, false), (2, 1, true)] {
        let mut test = testing::start_on(place.clone(), stock(made_by, unit(&place), &Record::default())).await;
        stop(test.take(0)).await;
        test.start_another(stock(version, unit(&place), &Record::default())).await;
        let compared = stock(version, unit(&place), &Record::default()).broker(test.broker()).compare().await.unwrap();
        let told = Difference::OtherVersion { queue: "stock.reserve".to_owned(), version: made_by, later };
        assert_eq!(compared.differences, [told], "{compared}");
        assert_eq!(compared.breaking().count(), 0);
        stop(test.take(0)).await;
        let stranger = Stranger::on(&test.broker()).await;
        stranger.delete_queue("stock.reserve").await;
        test.shutdown().await;
    }
}

/// What the broker itself gives up goes the way that the queue was made with, whoever consumes it.
async fn the_brokers_own_dead_letters_arrive(place: Place) {
    for (first, second) in [(1, 2), (2, 1)] {
        let seen = Record::default();
        let service = |version| {
            let subscription = Subscription::to("order").name("reserve").handler(note(&seen));
            testing::planned_as(version, Service::new("stock").subscription(subscription))
        };
        let mut test = testing::start_on(place.clone(), service(first)).await;
        stop(test.take(0)).await;
        test.start_another(service(second)).await;
        stop(test.take(0)).await;
        test.publish(numbered("order", 1)).await;
        let stranger = Stranger::on(&test.broker()).await;
        stranger.put_back("stock.reserve", 21).await;
        let dead = stranger.take("stock.reserve.dead", 1).await.remove(0);
        assert_eq!(text(&dead, "x-first-death-reason"), "delivery_limit");
        Books::after(test).await.balance(0, 0);
    }
}

/// The same for classic queues, and for a ladder of a name of its own, whose levels no version shares either.
async fn classic_queues_and_named_ladders_are_upgraded_too(place: Place) {
    let delay = unit(&place);
    let (handled, seen) = (Record::default(), Record::default());
    let service = |version| {
        let classic = Subscription::to("order").name("classic").queue_type(QueueType::Classic).handler(note(&seen));
        stock(version, delay, &handled).delays("team.delay").subscription(classic)
    };
    let mut test = testing::start_on(place, service(1)).await;
    publish(&test, 0..10).await;
    test.start_another(service(2)).await;
    stop(test.take(0)).await;
    publish(&test, 10..30).await;
    test.settled().await;
    assert_all(&test, 0..30, delay, &handled);
    rabbitry_tests::assert_each_once(seen.all(), 0..30);
    let queues = rabbitry_tests::queues(&test).await;
    assert!(queues.iter().any(|queue| queue == "team.delay.v2.00") && queues.iter().any(|queue| queue == "team.delay.00"));
    assert!(!queues.iter().any(|queue| queue.starts_with("rabbitry.v2.delay.")));
    Books::settled_in(&test, 3).await.balance(60, 57);
    test.shutdown().await;
}
}
