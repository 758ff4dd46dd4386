//! How a service ends: what it finishes, what it leaves, and how long it takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::join_all};
use rabbitry::{AnyEvent, PublishError, QueueType, Service, testing};
use rabbitry_tests::{
    Books, Record, Stranger, any, assert_each_once, eventually, gated, integer, json, note, numbered, on_both,
    publish_numbers, stop, within,
};
use tokio::sync::Semaphore;

/// The numbers of the events that wait in the work queue, each delivered `times` before.
async fn left(stranger: &Stranger, count: usize, times: i64) -> Vec<u64> {
    let left = stranger.take("worker.slow", count).await;
    for message in &left {
        // 4.0 has no such header before the first delivery.
        assert_eq!(integer(message, "x-delivery-count").unwrap_or_default(), times, "{:?}", json(message));
    }
    left.iter().filter_map(|message| json(message)["data"].as_u64()).collect()
}

on_both! {
/// Giving an event back counts as a delivery of it; after three it would look like what kills its consumers.
async fn what_was_sent_ahead_is_finished_and_nothing_else_is_taken(place: Place) {
    let (begun, ended, gate) = (Record::default(), Record::default(), Arc::new(Semaphore::new(0)));
    let mut test = testing::start_on(place, gated(&begun, &ended, &gate)).await;
    let stranger = Stranger::on(&test.broker()).await;
    // They are there when it begins: a consumer that hears nothing for a moment no longer asks for one at a time.
    stop(test.take(0)).await;
    publish_numbers(&test.publisher(), "order", 0..50).await;
    test.start_another(gated(&begun, &ended, &gate)).await;
    begun.wait_for(4).await;
    // One while the broker sent them one at a time, and then twice as many as run: nine are sent ahead.
    eventually("they are sent ahead", || async { stranger.count("worker.slow").await == 50 - 9 }).await;
    let running = test.take(0);
    let stopping = running.stopping();
    let mut ending = Box::pin(running.shutdown());
    assert!((&mut ending).now_or_never().is_none());
    within("being told", stopping).await;
    assert!(running.health().stopping && !running.health().is_ready());
    gate.add_permits(50);
    within("stopping", ending).await.unwrap();
    assert_eq!((begun.len(), ended.len()), (9, 9));
    drop(running);
    let mut all = left(&stranger, 41, 0).await;
    all.extend(ended.all());
    assert_each_once(all, 0..50);
    Books::after(test).await.balance(50, 9 + 41);
}

async fn what_was_handled_just_before_is_not_delivered_again(place: Place) {
    let mut test = testing::start_on(place, []).await;
    for _ in 0..3 {
        let seen = Record::default();
        test.start_another(Service::new("fast").publishes::<AnyEvent>().subscribe("order", note(&seen))).await;
        publish_numbers(&any(test.running(0)), "order", 0..300).await;
        seen.wait_for(300).await;
        stop(test.take(0)).await;
        assert_each_once(seen.all(), 0..300);
        Books::of(&test).await.balance(300, 300);
    }
    test.shutdown().await;
}

async fn handlers_that_outlast_the_grace_are_named_and_their_events_come_again(place: Place) {
    let (begun, ended, gate) = (Record::default(), Record::default(), Arc::new(Semaphore::new(0)));
    let mut test = testing::start_on(place, gated(&begun, &ended, &gate).grace("1s")).await;
    let running = test.take(0);
    publish_numbers(&any(&running), "order", 0..3).await;
    begun.wait_for(3).await;
    let since = Instant::now();
    let error = within("stopping", running.shutdown()).await.unwrap_err();
    assert!(since.elapsed() >= Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!((error.cut_off.as_slice(), error.unconfirmed), ([("slow".to_owned(), 3)].as_slice(), 0));
    assert!(error.to_string().contains("`worker`") && error.to_string().contains("slow 3"), "{error}");
    assert!(ended.is_empty());
    gate.add_permits(10);
    test.start_another(gated(&begun, &ended, &gate)).await;
    assert_each_once(ended.wait_for(3).await, 0..3);
    Books::after(test).await.balance(3, 3);
}

/// That its connections are closed is held in `shutdown_rabbitmq.rs`, too.
async fn a_service_that_is_dropped_is_cut_off(place: Place) {
    let (begun, ended, gate) = (Record::default(), Record::default(), Arc::new(Semaphore::new(0)));
    let mut test = testing::start_on(place, gated(&begun, &ended, &gate)).await;
    let stranger = Stranger::on(&test.broker()).await;
    let running = test.take(0);
    publish_numbers(&any(&running), "order", 0..2).await;
    begun.wait_for(2).await;
    let publisher = any(&running);
    drop(running);
    let closed = within("an answer", publisher.publish(numbered("order", 9))).await.unwrap_err();
    assert!(matches!(closed, PublishError::Closed { .. }), "{closed:?}");
    eventually("its events are back", || async { stranger.count("worker.slow").await == 2 }).await;
    gate.add_permits(10);
    test.start_another(gated(&begun, &ended, &gate)).await;
    assert_each_once(ended.wait_for(2).await, 0..2);
    Books::after(test).await.balance(2, 2);
}

async fn what_is_being_published_is_confirmed_or_an_error(place: Place) {
    let mut test = testing::start_on(place, Service::new("sender").publishes::<AnyEvent>()).await;
    let stranger = Stranger::on(&test.broker()).await;
    stranger.declare_queue("stranger", QueueType::Classic, "events", "order").await;
    let publisher = any(test.running(0));
    let (sent, seen) = (Record::default(), Record::default());
    let (sending, confirmed) = (sent.clone(), seen.clone());
    let publishing = tokio::spawn(async move {
        let mut number = 0;
        loop {
            let batch = (0..32).map(|step| publisher.publish(numbered("order", number + step)));
            let answers = join_all(batch).await;
            for (step, answer) in (0..).zip(&answers) {
                match answer {
                    Ok(_) => confirmed.add(number + step),
                    Err(PublishError::Closed { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            sending.add(number);
            number += 32;
            if answers.iter().any(Result::is_err) {
                return;
            }
        }
    });
    sent.wait_for(20).await;
    stop(test.take(0)).await;
    within("the publisher's end", publishing).await.unwrap();
    let count = usize::try_from(stranger.count("stranger").await).unwrap();
    let stored = stranger.take("stranger", count).await;
    let mut stored: Vec<u64> = stored.iter().filter_map(|message| json(message)["data"].as_u64()).collect();
    let mut confirmed = seen.all();
    stored.sort_unstable();
    confirmed.sort_unstable();
    // A shutdown that ended well waited for every confirm.
    assert_eq!(stored, confirmed);
    Books::after(test).await.balance(count, count);
}
}
