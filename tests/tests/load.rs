//! Many events, and one among them that misbehaves.

use std::{collections::BTreeSet, sync::Arc};

use rabbitry::{AnyEvent, RetryPolicy, Service, Subscription};
use rabbitry_tests::{
    Books, Child, Record, TestBroker, any, assert_all, assert_each_once, eventually, number, publish_numbers, stop,
    within,
};
use tokio::sync::Semaphore;

/// What the child process subscribes to, declared before it runs, with so many jobs in its queue.
async fn jobs(broker: &TestBroker, count: u64) {
    let work = Subscription::to("job.*").name("work").handler(|_: AnyEvent| async {});
    within("declaring", Service::new("worker").broker(broker.url()).subscription(work).declare()).await.unwrap();
    let sender = broker.start(Service::new("sender").publishes::<AnyEvent>()).await;
    publish_numbers(&any(&sender), "job.new", 0..count).await;
    stop(sender).await;
}

/// The numbers of the lines that begin with this word.
fn numbers(lines: &Record<String>, word: &str) -> Vec<u64> {
    let lines = lines.all();
    let of_word = lines.iter().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    of_word.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_handler_holds_up_nobody() {
    let broker = TestBroker::new().await;
    let (seen, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let (handled, entered) = (seen.clone(), Arc::clone(&gate));
    let subscription = Subscription::to("order").name("take").prefetch(256).handler(move |event: AnyEvent| {
        let (handled, entered, number) = (handled.clone(), Arc::clone(&entered), number(&event));
        async move {
            if number == 0 {
                entered.acquire().await.unwrap().forget();
            }
            handled.add(number);
        }
    });
    let running = broker.start(Service::new("worker").publishes::<AnyEvent>().subscription(subscription)).await;
    publish_numbers(&any(&running), "order", 0..10_001).await;
    assert_each_once(seen.wait_for(10_000).await, 1..10_001);
    // All but the first are acknowledged, though it was delivered before them.
    let client = broker.client().await;
    eventually("one is left", || async {
        let rows = broker.list("list_queues", &["name", "messages"]).await;
        rows.iter().any(|row| row[0] == "worker.take" && row[1] == "1")
    })
    .await;
    assert_eq!(client.count("worker.take").await, Some(0));
    gate.add_permits(1);
    seen.wait_for(10_001).await;
    stop(running).await;
    Books::read(&broker).await.balance(10_001, 10_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_its_process_takes_no_neighbour_along() {
    ends_its_process(1000, "0", "0").await;
}

/// As one does that takes all memory: meanwhile others are sent ahead, and run, and do not end before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_its_process_after_a_while_takes_no_neighbour_along() {
    ends_its_process(100, "200", "250").await;
}

async fn ends_its_process(others: u64, after_ms: &str, each_ms: &str) {
    let broker = TestBroker::new().await;
    jobs(&broker, others + 1).await;
    let (url, lines) = (broker.url(), Record::default());
    let variables = [
        ("AMQP_URL", url.as_str()),
        ("ABORT_ON", "0"),
        ("ABORT_AFTER", after_ms),
        ("EACH_MS", each_ms),
        ("ATTEMPTS", "1"),
    ];
    let client = broker.client().await;
    let mut deaths = 0;
    let mut process = loop {
        let mut process = Child::start(env!("CARGO_BIN_EXE_worker"), &variables, &lines);
        let dead = async { client.receive("worker.work.dead", 1).await };
        tokio::select! {
            status = process.wait() => {
                assert!(!status.success(), "{status}");
                deaths += 1;
            }
            dead = dead => {
                assert_eq!(dead[0].text("rabbitry-reason"), "abandoned");
                assert_eq!(dead[0].json()["data"], 0);
                break process;
            }
        }
    };
    assert_eq!(deaths, 3);
    let handled = || numbers(&lines, "handled").into_iter().collect::<BTreeSet<_>>();
    eventually("all others are handled", || async { handled().len() as u64 == others }).await;
    assert_eq!(handled(), (1..others + 1).collect());
    process.signal("TERM").await;
    assert!(process.wait().await.success());
    assert_eq!(client.count("worker.work.dead").await, Some(0));
    Books::read(&broker).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_had_in_hand_is_handled_by_the_next() {
    let broker = TestBroker::new().await;
    jobs(&broker, 3000).await;
    let (url, lines) = (broker.url(), Record::default());
    for handled in [300, 1000] {
        let mut process = Child::start(env!("CARGO_BIN_EXE_worker"), &[("AMQP_URL", url.as_str())], &lines);
        lines.wait_for(2 * handled).await;
        process.signal("KILL").await;
        process.wait().await;
    }
    let mut process = Child::start(env!("CARGO_BIN_EXE_worker"), &[("AMQP_URL", url.as_str())], &lines);
    eventually("the queue is empty", || async { Books::read(&broker).await.waiting == 0 }).await;
    process.signal("TERM").await;
    assert!(process.wait().await.success());
    assert_all(&numbers(&lines, "handled"), 0..3000);
    Books::read(&broker).await.balance(3000, 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_sends_no_more_ahead_than_the_prefetch() {
    let broker = TestBroker::new().await;
    let (begun, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let (note_begun, entered) = (begun.clone(), Arc::clone(&gate));
    let subscription = Subscription::to("order")
        .name("take")
        .concurrency(4)
        .prefetch(10)
        .retry(RetryPolicy::default().attempts(1))
        .handler(move |event: AnyEvent| {
            note_begun.add(number(&event));
            let entered = Arc::clone(&entered);
            async move { entered.acquire().await.unwrap().forget() }
        });
    let running = broker.start(Service::new("worker").publishes::<AnyEvent>().subscription(subscription)).await;
    publish_numbers(&any(&running), "order", 0..100).await;
    // The very first one came to a consumer of its own, which took one alone.
    begun.wait_for(4).await;
    gate.add_permits(4);
    begun.wait_for(8).await;
    let unacknowledged = || async {
        let rows = broker.list("list_queues", &["name", "messages_unacknowledged"]).await;
        rows.iter().find(|row| row[0] == "worker.take").and_then(|row| row[1].parse::<u32>().ok())
    };
    eventually("ten are sent ahead", || async { unacknowledged().await == Some(10) }).await;
    assert_eq!(begun.len(), 8);
    gate.add_permits(96);
    begun.wait_for(100).await;
    stop(running).await;
    Books::read(&broker).await.balance(100, 100);
}
