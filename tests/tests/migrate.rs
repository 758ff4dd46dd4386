//! Moving a work queue to other arguments, on both brokers: with nothing lost, wherever it is interrupted.

use std::{panic::resume_unwind, sync::Arc, time::Duration};

use rabbitry::{
    AnyEvent, Attempt, Broker, Exchange, ExchangeKind, HandlerError, PublishError, QueueType, RetryPolicy, Service,
    Subscription, Unrouted,
    operate::{Found, MigrateError, Migration},
    testing::{self, Place},
};
use rabbitry_tests::{
    Books, RESERVE, Record, Stranger, any, eventually, ids, migration, note, number, numbered, on_both, stock, stop,
    unit, within,
};
use tokio::sync::Notify;

const KINDS: [QueueType; 2] = [QueueType::Quorum, QueueType::Classic];

fn broker(place: Place) -> Broker {
    match place {
        Place::Memory => Broker::memory(),
        Place::Broker(broker) => broker,
    }
}

/// A broker that has the service's queue, and somebody on it.
async fn with_queue(place: Place, kind: QueueType) -> (Broker, Stranger) {
    let broker = broker(place);
    within("declaring", stock(kind).broker(broker.clone()).declare()).await.unwrap();
    let stranger = Stranger::on(&broker).await;
    (broker, stranger)
}

async fn run(migration: &Migration) -> (u64, u64) {
    let migrated = within("migrating", migration.run(|_| {})).await.unwrap();
    (migrated.set_aside, migrated.brought_back)
}

/// Runs a migration that ends as its process would if it were killed behind the step of this number. Says whether it came
/// to that step.
async fn interrupted(migration: Migration, at: usize) -> bool {
    let running = tokio::spawn(async move {
        let mut steps = 0;
        let told = |_: &_| {
            if steps == at {
                resume_unwind(Box::new("killed"));
            }
            steps += 1;
        };
        migration.run(told).await.unwrap();
    });
    within("migrating", running).await.is_err()
}

/// A service that is told of events which no queue is bound for.
fn sender() -> Service {
    Service::new("sender").publishes::<AnyEvent>().unrouted(Unrouted::Fail)
}

/// Publishes events with confirms until it is told to stop, and gives the ids of those that were confirmed.
struct Publishing {
    stop: Arc<Notify>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Publishing {
    async fn begin(sender: Service, broker: &Broker) -> Self {
        let sender = within("starting", sender.broker(broker.clone()).start()).await.unwrap();
        let stop_it = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop_it);
        let task = tokio::spawn(async move {
            let (publisher, mut confirmed) = (any(&sender), Vec::new());
            for number in 0.. {
                match publisher.publish(numbered("order", number)).await {
                    Ok(published) => confirmed.push(published.id().to_owned()),
                    Err(error @ PublishError::Unrouted { .. }) => panic!("for a moment no queue was bound: {error}"),
                    Err(error) => panic!("{error}"),
                }
                let pace = tokio::time::sleep(Duration::from_millis(2));
                tokio::select! {
                    () = stopped.notified() => break,
                    () = pace => {}
                }
            }
            stop(sender).await;
            confirmed
        });
        Self { stop: stop_it, task }
    }

    async fn end(self) -> Vec<String> {
        self.stop.notify_one();
        within("the end of publishing", self.task).await.unwrap()
    }
}

on_both! {
/// Nothing is lost, nothing comes twice where nobody publishes, and the order is kept.
async fn a_queue_changes_its_type(place: Place) {
    for [before, after] in [KINDS, [KINDS[1], KINDS[0]]] {
        let (broker, stranger) = with_queue(place.clone(), before).await;
        let all = ids("order", 100);
        stranger.order(&all).await;
        assert!(matches!(migration(after, &broker).look().await.unwrap(), Found::Differs { .. }));
        assert_eq!(run(&migration(after, &broker)).await, (100, 100));
        let order: Vec<String> =
            stranger.look(RESERVE, 100).await.iter().map(|delivery| rabbitry_tests::id(&delivery.message)).collect();
        assert_eq!(order, all);
        assert!(stranger.take_all(&all).await.values().all(|times| *times == 1));
        stranger.assert_migrated(after, &broker).await;
        // Once more there is nothing to do.
        assert_eq!(migration(after, &broker).look().await.unwrap(), Found::AsPlanned);
        assert_eq!(run(&migration(after, &broker)).await, (0, 0));
        stranger.delete_queue(RESERVE).await;
        assert_eq!(migration(after, &broker).look().await.unwrap(), Found::Missing);
        assert_eq!(run(&migration(after, &broker)).await, (0, 0));
        assert_eq!(stranger.count_if_any(RESERVE).await, None, "it makes nothing that was not there");
    }
}

/// Whoever publishes meanwhile always has a queue that is bound, and retries that are on their way arrive.
async fn events_go_on_while_a_queue_is_migrated(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Quorum).await;
    let mut all = ids("order", 200);
    stranger.order(&all).await;
    let late = ids("late", 20);
    stranger.retry(&late).await;
    let publishing = Publishing::begin(sender(), &broker).await;
    for kind in [QueueType::Classic, QueueType::Quorum, QueueType::Classic] {
        run(&migration(kind, &broker)).await;
    }
    all.extend(late);
    all.extend(publishing.end().await);
    stranger.take_all(&all).await;
    stranger.assert_migrated(QueueType::Classic, &broker).await;
}

/// Killed behind each step in turn, and run again: all is there, and between the two whoever publishes has a queue.
async fn an_interruption_at_any_step_loses_nothing(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Quorum).await;
    let kinds = [QueueType::Classic, QueueType::Quorum].into_iter().cycle();
    for (step, kind) in kinds.enumerate() {
        let (waiting, late, meanwhile) = (ids("order", 40), ids("late", 3), ids("meanwhile", 5));
        stranger.order(&waiting).await;
        stranger.retry(&late).await;
        let was_killed = interrupted(migration(kind, &broker), step).await;
        stranger.order(&meanwhile).await;
        if was_killed {
            within("migrating", migration(kind, &broker).run(|_| {})).await.unwrap();
        }
        stranger.take_all(&[waiting, late, meanwhile].concat()).await;
        stranger.assert_migrated(kind, &broker).await;
        if !was_killed {
            assert!(step > 20, "it has only {step} steps");
            return;
        }
    }
}

/// Killed again and again, each time a step further.
async fn interruptions_without_an_end_lose_nothing(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Classic).await;
    let mut all = ids("order", 100);
    stranger.order(&all).await;
    let late = ids("late", 10);
    stranger.retry(&late).await;
    all.extend(late);
    let publishing = Publishing::begin(sender(), &broker).await;
    let mut step = 0;
    while interrupted(migration(QueueType::Quorum, &broker), step).await {
        step += 1;
    }
    all.extend(publishing.end().await);
    stranger.take_all(&all).await;
    stranger.assert_migrated(QueueType::Quorum, &broker).await;
}

/// A migration that is given up halfway is undone by migrating back.
async fn a_migration_can_be_taken_back(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Quorum).await;
    for step in [3, 8, 12, 20, 24] {
        let all = ids(&format!("order-{step}"), 40);
        stranger.order(&all).await;
        assert!(interrupted(migration(QueueType::Classic, &broker), step).await);
        let compared = stock(QueueType::Quorum).broker(broker.clone()).compare().await.unwrap();
        assert!(compared.to_string().contains("is being migrated"), "{compared}");
        within("migrating back", migration(QueueType::Quorum, &broker).run(|_| {})).await.unwrap();
        stranger.take_all(&all).await;
        stranger.assert_migrated(QueueType::Quorum, &broker).await;
    }
}

/// It does not begin while something consumes the queue, nor end while something that was begun since does.
async fn a_queue_in_use_is_refused(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Quorum).await;
    let all = ids("order", 10);
    let running = within("starting", stock(QueueType::Quorum).broker(broker.clone()).start()).await.unwrap();
    let refused = within("migrating", migration(QueueType::Classic, &broker).run(|_| {})).await.unwrap_err();
    assert!(matches!(refused, MigrateError::InUse { consumers: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("stop every instance"), "{refused}");
    assert_eq!(stranger.count_if_any("stock.reserve.migrating").await, None, "nothing was changed");
    stop(running).await;
    stranger.order(&all).await;
    run(&migration(QueueType::Classic, &broker)).await;
    stranger.take_all(&all).await;
}

/// A consumer of a quorum queue that was stopped and still has messages in hand is seen; what it gives back is not lost.
async fn messages_in_hand_are_waited_for(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Quorum).await;
    let all = ids("order", 10);
    stranger.order(&all).await;
    let holder = stranger.hold(RESERVE, 4).await;
    let quorum = Migration::of(&stock(QueueType::Classic).broker(broker.clone()), RESERVE).unwrap().quiet("100ms");
    let refused = within("migrating", quorum.run(|_| {})).await.unwrap_err();
    assert!(matches!(refused, MigrateError::InUse { .. }), "{refused}");
    holder.close().await.unwrap();
    // What a quorum queue is, it proves by itself.
    run(&quorum).await;
    stranger.take_all(&all).await;
    stranger.assert_migrated(QueueType::Classic, &broker).await;
}

/// A classic queue does not tell who has messages in hand, so somebody must say that all have ended.
async fn a_classic_queue_needs_a_word(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Classic).await;
    let all = ids("order", 10);
    stranger.order(&all).await;
    let unsaid = migration(QueueType::Quorum, &broker).all_stopped(false);
    let refused = within("migrating", unsaid.run(|_| {})).await.unwrap_err();
    assert!(matches!(refused, MigrateError::Unproven { .. }), "{refused}");
    assert!(refused.to_string().contains("--management-url") && refused.to_string().contains("--all-stopped"));
    assert_eq!(stranger.count(RESERVE).await, 10, "nothing was changed");
    run(&migration(QueueType::Quorum, &broker)).await;
    stranger.take_all(&all).await;
}

/// A queue that goes on getting messages is not deleted under them.
async fn a_queue_that_is_bound_by_others_is_not_deleted(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Quorum).await;
    let mut all = ids("order", 10);
    stranger.order(&all).await;
    // Somebody else's exchange, which no plan has.
    stranger.declare_exchange("theirs", ExchangeKind::Fanout).await;
    stranger.bind("theirs", RESERVE).await;
    let publishing = Publishing::begin(sender().exchange(Exchange::named("theirs", ExchangeKind::Fanout)), &broker).await;
    let refused = within("migrating", migration(QueueType::Classic, &broker).run(|_| {})).await.unwrap_err();
    assert!(matches!(refused, MigrateError::KeepsComing { .. }), "{refused}");
    all.extend(publishing.end().await);
    within("migrating", migration(QueueType::Classic, &broker).run(|_| {})).await.unwrap();
    stranger.take_all(&all).await;
    stranger.assert_migrated(QueueType::Classic, &broker).await;
}

async fn what_is_no_work_queue_is_refused(place: Place) {
    let (broker, _stranger) = with_queue(place, QueueType::Quorum).await;
    let existing = Subscription::to("bill").queue("billing.in").queue_type(QueueType::Existing);
    let service = stock(QueueType::Quorum).subscription(existing.handler(|_: AnyEvent| async {})).broker(broker);
    for queue in ["stock.missing", "stock.reserve.dead", "rabbitry.v1.delay.00", "billing.in"] {
        let refused = Migration::of(&service, queue).unwrap_err();
        assert!(refused.to_string().contains("these are: `stock.reserve`"), "{refused}");
    }
}

/// From one version of the plan to the next: what waits in the ladder of the first comes back, and so does what died.
async fn a_queue_is_migrated_to_the_next_plan(place: Place) {
    let delay = unit(&place) * 3;
    let handled = Record::default();
    let service = |version| {
        let handled = handled.clone();
        let policy = RetryPolicy::default().attempts(2).immediate(0).first(delay).max(delay).jitter(0.0);
        let handler = move |event: AnyEvent, attempt: Attempt| {
            let outcome = if attempt.number == 1 { Err(HandlerError::from("not yet")) } else { Ok(()) };
            if outcome.is_ok() {
                handled.add(number(&event));
            }
            async { outcome }
        };
        let subscription = Subscription::to("order").name("reserve").retry(policy).handler(handler);
        testing::planned_as(version, Service::new("stock").subscription(subscription))
    };
    let mut test = testing::start_on(place, service(1)).await;
    for number in 0..10 {
        test.publish(numbered("order", number)).await;
    }
    eventually("all have failed once", || async { test.handled("reserve").times() >= 10 }).await;
    stop(test.take(0)).await;
    for number in 10..20 {
        test.publish(numbered("order", number)).await;
    }
    let next = Migration::of(&service(2).broker(test.broker()), RESERVE).unwrap().quiet("100ms");
    assert!(matches!(next.look().await.unwrap(), Found::Differs { .. }));
    // Before its first instance starts nothing of the next version is there.
    let migrated = within("migrating", next.run(|_| {})).await.unwrap();
    assert!(migrated.set_aside >= 10, "{migrated:?}");
    // Those of the first version leave it alone.
    let first = Migration::of(&service(1).broker(test.broker()), RESERVE).unwrap();
    assert_eq!(first.look().await.unwrap(), Found::Later);
    let refused = within("migrating", first.run(|_| {})).await.unwrap_err();
    assert!(matches!(refused, MigrateError::Later { .. }), "{refused}");
    test.start_another(service(2)).await;
    test.settled().await;
    rabbitry_tests::assert_each_once(handled.all(), 0..20);
    assert!(test.handled("reserve").runs.iter().all(|run| run.attempt <= 2));
    Books::settled_in(&test, 0).await.balance(20, 20);
    test.shutdown().await;
}

/// What handlers know of a message is the same afterwards: its name, its attempts, its headers.
async fn handlers_see_no_difference(place: Place) {
    let seen = Record::default();
    let service = |kind| {
        let seen = seen.clone();
        let handler = move |event: AnyEvent, attempt: Attempt, metadata: rabbitry::Metadata| {
            seen.add((event.name().to_owned(), attempt.number, metadata.id().unwrap_or_default().to_owned()));
            async {}
        };
        Service::new("stock").subscription(
            Subscription::to("order").and("order.*").name("reserve").queue_type(kind).handler(handler),
        )
    };
    let (broker, stranger) = with_queue(place, QueueType::Quorum).await;
    // A name that is the routing key alone, and a retry of the third attempt.
    stranger.order(&ids("order", 2)).await;
    stranger.retry_of_two("retried").await;
    eventually("the retry", || async { stranger.count(RESERVE).await == 3 }).await;
    for kind in [QueueType::Classic, QueueType::Quorum] {
        run(&migration(kind, &broker)).await;
    }
    let running = within("starting", service(QueueType::Quorum).broker(broker).start()).await.unwrap();
    let mut seen = seen.wait_for(3).await;
    stop(running).await;
    seen.sort();
    let expected = [("order", 1, "order-0"), ("order", 3, "retried"), ("order.more", 1, "order-1")];
    assert_eq!(seen, expected.map(|(name, attempt, id)| (name.to_owned(), attempt, id.to_owned())));
}

/// A service that was given other arguments does not start until its queue is migrated, and is told how.
async fn a_service_is_told_to_migrate(place: Place) {
    let (broker, stranger) = with_queue(place, QueueType::Quorum).await;
    let seen = Record::default();
    let service = || {
        let subscription = Subscription::to("order").name("reserve").queue_type(QueueType::Classic);
        Service::new("stock").publishes::<AnyEvent>().subscription(subscription.handler(note(&seen))).broker(broker.clone())
    };
    let refused = within("starting", service().start()).await.unwrap_err().to_string();
    assert!(refused.contains("`topology migrate stock.reserve`"), "{refused}");
    stranger.publish_bare("events", "order", "7", &serde_json::json!(7)).await;
    run(&migration(QueueType::Classic, &broker)).await;
    let running = within("starting", service().start()).await.unwrap();
    assert_eq!(seen.wait_for(1).await, [7]);
    stop(running).await;
}
}
