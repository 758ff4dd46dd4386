//! Moving a work queue while its process and its broker are killed, and with what the management API knows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rabbitry::{
    AnyEvent, Broker, Difference, ExchangeKind, PublishError, QueueType, Service, Unrouted,
    operate::{Found, MigrateError, Migration, Step},
};
use rabbitry_tests::{
    Child, Node, RESERVE, Record, Stranger, TestBroker, any, ids, migration, numbered, stock, stop, within,
};
use tokio::sync::Notify;

/// A broker with the service's queue, and somebody on it.
async fn with_queue(broker: &TestBroker, kind: QueueType) -> Stranger {
    within("declaring", stock(kind).broker(broker.url()).declare()).await.unwrap();
    Stranger::on(&broker.url().into()).await
}

/// A migration in a process of its own.
fn migrator(broker: &TestBroker, to: QueueType, abort_at: Option<usize>) -> Child {
    let (url, to) = (broker.url(), to.to_string());
    let step = abort_at.map(|step| step.to_string());
    let mut variables = vec![("AMQP_URL", url.as_str()), ("TO", &to)];
    variables.extend(step.as_deref().map(|step| ("ABORT_AT", step)));
    Child::start(env!("CARGO_BIN_EXE_migrator"), &variables, &Record::default())
}

/// Publishes until it is told to stop; notes the ids of what was confirmed. What has no answer may be there or not.
fn publish(broker: &TestBroker) -> (Record<String>, Record<String>, Arc<Notify>, tokio::task::JoinHandle<()>) {
    let (confirmed, unknown, enough) = (Record::default(), Record::default(), Arc::new(Notify::new()));
    let sender = Service::new("sender").publishes::<AnyEvent>().unrouted(Unrouted::Fail).broker(broker.url());
    let (noted, doubtful, stopped) = (confirmed.clone(), unknown.clone(), Arc::clone(&enough));
    let task = tokio::spawn(async move {
        let sender = within("starting", sender.start()).await.unwrap();
        for number in 0.. {
            let id = format!("published-{number}");
            match any(&sender).event(numbered("order", number)).id(&id).publish().await {
                Ok(_) => noted.add(id),
                Err(PublishError::Unrouted { event, exchange, .. }) => {
                    panic!("no queue was bound for {event} to {exchange}")
                }
                Err(_) => doubtful.add(id),
            }
            tokio::select! {
                () = stopped.notified() => break,
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
        stop(sender).await;
    });
    (confirmed, unknown, enough, task)
}

/// A process that ends behind each step in turn, on one and the same migration, while events are published.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_abort_lose_nothing() {
    let broker = TestBroker::new().await;
    let stranger = with_queue(&broker, QueueType::Quorum).await;
    let mut all = ids("order", 100);
    stranger.order(&all).await;
    let late = ids("late", 10);
    stranger.retry(&late).await;
    let (confirmed, unknown, enough, task) = publish(&broker);
    let mut steps = 0;
    while !migrator(&broker, QueueType::Classic, Some(steps)).wait().await.success() {
        steps += 1;
    }
    assert!(steps > 10, "it ended after {steps}");
    enough.notify_one();
    within("the end of publishing", task).await.unwrap();
    assert_eq!(unknown.len(), 0);
    all.extend(late);
    all.extend(confirmed.all());
    stranger.take_all(&all).await;
    stranger.assert_migrated(QueueType::Classic, &broker.url().into()).await;
}

/// Killed with -9 at any moment, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_lose_nothing() {
    let broker = TestBroker::new().await;
    let stranger = with_queue(&broker, QueueType::Quorum).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all = ids("order", 300);
    stranger.order(&all).await;
    let (confirmed, unknown, enough, task) = publish(&broker);
    let mut kills = 0;
    for to in [QueueType::Classic, QueueType::Quorum, QueueType::Classic] {
        let mut longest = 100;
        loop {
            let mut process = migrator(&broker, to, None);
            let ended = tokio::time::timeout(Duration::from_millis(random.u64(20..longest)), process.wait()).await;
            match ended {
                Ok(status) => {
                    assert!(status.success(), "seed {seed}: it ended with {status}");
                    break;
                }
                Err(_) => process.signal("KILL").await,
            }
            process.wait().await;
            kills += 1;
            // It comes to its end at last.
            longest += 100;
        }
    }
    assert!(kills > 5, "it was killed {kills} times");
    enough.notify_one();
    within("the end of publishing", task).await.unwrap();
    assert_eq!(unknown.len(), 0);
    all.extend(confirmed.all());
    stranger.take_all(&all).await;
    stranger.assert_migrated(QueueType::Classic, &broker.url().into()).await;
}

/// The broker is killed with -9 in the middle, and comes back: what was confirmed is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_meanwhile_loses_nothing() {
    let node = Node::private("migrate", &[]).await;
    let broker = TestBroker::on(&node).await;
    let mut all = ids("order", 200);
    with_queue(&broker, QueueType::Quorum).await.order(&all).await;
    let (confirmed, unknown, enough, task) = publish(&broker);
    type Midway = fn(&Step) -> bool;
    let is_midway: [(QueueType, Midway); 3] = [
        (QueueType::Classic, |step| matches!(step, Step::Copied { .. })),
        (QueueType::Quorum, |step| matches!(step, Step::Deleted { queue } if queue == RESERVE)),
        (QueueType::Classic, |step| matches!(step, Step::Moved { from, .. } if from != RESERVE)),
    ];
    for (to, is_midway) in is_midway {
        let url: Broker = broker.url().into();
        // As people run it: the pauses are there for such moments.
        let migration = migration(to, &url).quiet("3s");
        let midway = Notify::new();
        let told = |step: &Step| {
            if is_midway(step) {
                midway.notify_one();
            }
        };
        let killing = async {
            midway.notified().await;
            node.kill().await;
        };
        let (ended, ()) = within("migrating", async { tokio::join!(migration.run(told), killing) }).await;
        node.restart().await;
        let error = ended.unwrap_err();
        assert!(matches!(error, MigrateError::Lost { .. }), "{error}");
        assert!(error.to_string().contains("run this again"), "{error}");
        // It may be up, and not have its queues yet.
        let again = async {
            while let Err(error) = migration.run(|_| {}).await {
                println!("{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        within("migrating again", again).await;
    }
    enough.notify_one();
    within("the end of publishing", task).await.unwrap();
    let stranger = Stranger::on(&broker.url().into()).await;
    all.extend(confirmed.all());
    stranger.take_all_and(&all, &unknown.all()).await;
    stranger.assert_migrated(QueueType::Classic, &broker.url().into()).await;
}

fn with_management(broker: &TestBroker, kind: QueueType) -> Service {
    stock(kind).broker(broker.url()).management_url(broker.node().management())
}

fn managed(broker: &TestBroker, kind: QueueType) -> Migration {
    Migration::of(&with_management(broker, kind), RESERVE).unwrap().quiet("100ms")
}

/// With the management API bindings that are not in the plan move along, also where it was interrupted meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn bindings_of_others_move_along() {
    let broker = TestBroker::new().await;
    let stranger = with_queue(&broker, QueueType::Classic).await;
    stranger.declare_exchange("theirs", ExchangeKind::Fanout).await;
    stranger.bind("theirs", RESERVE).await;
    let mut all = ids("order", 20);
    stranger.order(&all).await;
    let interrupted = tokio::spawn({
        let migration = managed(&broker, QueueType::Quorum);
        async move {
            let told = |step: &Step| {
                if matches!(step, Step::Deleted { .. }) {
                    std::panic::resume_unwind(Box::new("killed"));
                }
            };
            migration.run(told).await.unwrap();
        }
    });
    assert!(within("migrating", interrupted).await.is_err());
    // Only the holding queue has the binding now, and gets what comes by it.
    stranger.publish_bare("theirs", "order", "theirs-1", &serde_json::json!(1)).await;
    let compared = within("comparing", with_management(&broker, QueueType::Quorum).compare()).await.unwrap();
    let is_migrating =
        |difference: &Difference| matches!(difference, Difference::Migrating { queue, .. } if queue == RESERVE);
    assert!(compared.differences.iter().any(is_migrating), "{compared}");
    assert!(
        !compared.differences.iter().any(|difference| matches!(difference, Difference::StaleQueue { .. })),
        "{compared}"
    );
    let again = managed(&broker, QueueType::Quorum);
    assert_eq!(again.look().await.unwrap(), Found::Begun { differs: false });
    within("migrating", again.run(|_| {})).await.unwrap();
    stranger.publish_bare("theirs", "order", "theirs-2", &serde_json::json!(1)).await;
    all.extend(["theirs-1".to_owned(), "theirs-2".to_owned()]);
    stranger.take_all(&all).await;
    stranger.assert_migrated(QueueType::Quorum, &broker.url().into()).await;
}

/// A classic queue does not tell AMQP that a consumer which was stopped has messages in hand; the management API does.
#[tokio::test(flavor = "multi_thread")]
async fn messages_in_hand_of_a_classic_queue_are_waited_for() {
    let broker = TestBroker::new().await;
    let stranger = with_queue(&broker, QueueType::Classic).await;
    let all = ids("order", 10);
    stranger.order(&all).await;
    let holder = stranger.hold(RESERVE, 4).await;
    let migration = managed(&broker, QueueType::Quorum);
    let (emptied, given_back) = (Notify::new(), AtomicBool::new(false));
    let told = |step: &Step| {
        if matches!(step, Step::Moved { .. }) {
            emptied.notify_one();
        }
        let deleted = matches!(step, Step::Deleted { .. });
        assert!(!deleted || given_back.load(Ordering::Relaxed), "it is deleted while somebody has messages in hand");
    };
    let giving_back = async {
        emptied.notified().await;
        // Longer than it waits where nothing is in hand: that is what is tried.
        tokio::time::sleep(Duration::from_secs(9)).await;
        given_back.store(true, Ordering::Relaxed);
        holder.close().await.unwrap();
    };
    let (migrated, ()) = within("migrating", async { tokio::join!(migration.run(told), giving_back) }).await;
    assert_eq!(migrated.unwrap().set_aside, 10);
    stranger.take_all(&all).await;
    stranger.assert_migrated(QueueType::Quorum, &broker.url().into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_management_api_that_is_not_there_is_told_of() {
    let broker = TestBroker::new().await;
    let stranger = with_queue(&broker, QueueType::Quorum).await;
    stranger.order(&ids("order", 3)).await;
    let service = stock(QueueType::Classic).broker(broker.url()).management_url("http://me:secret@127.0.0.1:1");
    let refused = within("migrating", Migration::of(&service, RESERVE).unwrap().run(|_| {})).await.unwrap_err();
    assert!(matches!(refused, MigrateError::Management { .. }), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("secret"));
    assert_eq!(stranger.count(RESERVE).await, 3, "nothing was changed");
}
