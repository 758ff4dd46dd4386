//! Many events, and one among them that misbehaves.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
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

/// Longer than the test may take.
const HOUR: Duration = Duration::from_secs(3600);

/// A handler that fails on every eleventh of its events.
fn poisoned(name: &str, policy: RetryPolicy, runs: &Record<u64>) -> Subscription {
    let runs = runs.clone();
    Subscription::to("order").name(name).concurrency(4).retry(policy.jitter(0.0)).handler(move |event: AnyEvent| {
        let number = number(&event);
        runs.add(number);
        async move { if number.is_multiple_of(11) { Err(format!("{number} is poison")) } else { Ok(()) } }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_costs_the_good_ones_nothing_but_its_own_work() {
    let broker = TestBroker::new().await;
    let (waiting, dying) = (Record::default(), Record::default());
    let policy = RetryPolicy::default().attempts(3);
    let waits = poisoned("waits", policy.immediate(0).first(HOUR).max(HOUR), &waiting);
    let dies = poisoned("dies", policy.immediate(1).first(Duration::from_secs(1)), &dying);
    let service = Service::new("worker").publishes::<AnyEvent>().subscription(waits).subscription(dies);
    let running = broker.start(service).await;
    publish_numbers(&any(&running), "order", 0..11_000).await;
    // Each once, the poison too: what waits for an hour holds up nobody.
    assert_each_once(waiting.wait_for(11_000).await, 0..11_000);
    let mut runs = dying.wait_for(10_000 + 3 * 1000).await;
    eventually("the books are settled", || async {
        Books::read(&broker).await == Books { waiting: 1000, dead: 1000, undeliverable: 0 }
    })
    .await;
    stop(running).await;
    runs.sort_unstable();
    let allowed = |number: u64| if number.is_multiple_of(11) { 3 } else { 1 };
    assert_eq!(runs, (0..11_000).flat_map(|number| vec![number; allowed(number)]).collect::<Vec<_>>());
    assert_eq!((waiting.len(), dying.len()), (11_000, 13_000), "and no more");
}

/// A message that ends the process which handles it, among others that do not.
#[derive(Clone, Copy, Debug)]
struct Killer {
    /// How many others there are.
    others: u64,
    /// Which of all it is.
    number: u64,
    prefetch: u64,
    /// How long it takes to end the process.
    after_ms: u64,
    /// How long the others take.
    each_ms: u64,
}

/// Wherever it is, and however many are sent ahead.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_its_process_takes_no_neighbour_along() {
    let anywhere = fastrand::u64(0..=1000);
    let cases = [(0, 32), (0, 1), (1, 250), (500, 1), (500, 32), (500, 250), (500, 2000), (1000, 32), (1000, 2000)];
    let cases = cases.into_iter().chain([(anywhere, fastrand::u64(1..2000))]).map(|(number, prefetch)| {
        let killer = Killer { others: 1000, number, prefetch, after_ms: 0, each_ms: 0 };
        println!("{killer:?}");
        ends_its_process(killer)
    });
    stream::iter(cases).for_each_concurrent(2, |case| case).await;
}

/// As one does that takes all memory: meanwhile others are sent ahead, and run, and do not end before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_its_process_after_a_while_takes_no_neighbour_along() {
    let killer = Killer { others: 100, number: 0, prefetch: 32, after_ms: 200, each_ms: 250 };
    ends_its_process(killer).await;
    ends_its_process(Killer { number: 60, ..killer }).await;
}

async fn ends_its_process(killer: Killer) {
    let broker = TestBroker::new().await;
    jobs(&broker, killer.others + 1).await;
    let (url, lines) = (broker.url(), Record::default());
    let [number, after, each, prefetch] =
        [killer.number, killer.after_ms, killer.each_ms, killer.prefetch].map(|number| number.to_string());
    let variables = [
        ("AMQP_URL", url.as_str()),
        ("ABORT_ON", &number),
        ("ABORT_AFTER", &after),
        ("EACH_MS", &each),
        ("PREFETCH", &prefetch),
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
                assert!(deaths < 10, "{killer:?} goes on ending its process");
            }
            dead = dead => {
                assert_eq!(dead[0].text("rabbitry-reason"), "abandoned");
                assert_eq!(dead[0].json()["data"], killer.number);
                break process;
            }
        }
    };
    assert_eq!(deaths, 3, "{killer:?}");
    let handled = || numbers(&lines, "handled").into_iter().collect::<BTreeSet<_>>();
    eventually("all others are handled", || async { handled().len() as u64 == killer.others }).await;
    assert_eq!(handled(), (0..=killer.others).filter(|number| *number != killer.number).collect());
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
async fn what_a_killed_process_had_in_hand_holds_up_nobody() {
    let broker = TestBroker::new().await;
    jobs(&broker, 100).await;
    let (url, lines) = (broker.url(), Record::default());
    let variables = [("AMQP_URL", url.as_str()), ("HOLD", "0")];
    let handled = || numbers(&lines, "handled").into_iter().collect::<BTreeSet<_>>();
    let mut process = Child::start(env!("CARGO_BIN_EXE_worker"), &variables, &lines);
    eventually("the others are handled", || async { handled().len() == 99 }).await;
    process.signal("KILL").await;
    process.wait().await;
    // It is delivered first, and never ends.
    let mut process = Child::start(env!("CARGO_BIN_EXE_worker"), &variables, &lines);
    let begun = || numbers(&lines, "begun").into_iter().filter(|number| *number == 0).count();
    eventually("it runs again", || async { begun() == 2 }).await;
    let sender = broker.start(Service::new("sender").publishes::<AnyEvent>()).await;
    publish_numbers(&any(&sender), "job.new", 100..200).await;
    stop(sender).await;
    eventually("the new ones are handled", || async { handled().len() == 199 }).await;
    process.signal("KILL").await;
    process.wait().await;
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
