//! How a service ends, on RabbitMQ alone: what takes a broker that is gone or frozen, a process of its own with signals,
//! a clock that the test holds, or what only `rabbitmqctl` tells of consumers and connections.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use rabbitry::{AnyEvent, PublishError, Service, Subscription};
use rabbitry_tests::{
    Books, Child, Header, HeldClock, Node, Record, TestBroker, any, assert_each_once, eventually, gated, number,
    numbered, publish_numbers, stop, within,
};
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread")]
async fn in_the_second_half_of_the_grace_nothing_is_begun() {
    let broker = TestBroker::new().await;
    let (begun, ended, gate) = (Record::default(), Record::default(), Arc::new(Semaphore::new(0)));
    let clock = HeldClock::holding(Duration::from_secs(40));
    let running = broker.start(gated(&begun, &ended, &gate).grace("80s").clock(clock.clone())).await;
    publish_numbers(&any(&running), "order", 0..50).await;
    begun.wait_for(4).await;
    let ending = async {
        clock.begun(1).await;
        clock.release();
        clock.ended(1).await;
        gate.add_permits(50);
    };
    let (stopped, ()) = within("stopping", async { tokio::join!(running.shutdown(), ending) }).await;
    stopped.unwrap();
    assert_eq!((begun.len(), ended.len()), (4, 4));
    drop(running);
    let client = broker.client().await;
    let rest = client.receive("worker.slow", 46).await;
    let mut all: Vec<u64> = rest.iter().filter_map(|raw| raw.json()["data"].as_u64()).collect();
    all.extend(ended.all());
    assert_each_once(all, 0..50);
    Books::read(&broker).await.balance(50, 50);
}

/// The acknowledgements of what ended out of order are many frames: of those that a broker has not applied when the
/// channel closes it forgets all but 32.
#[tokio::test(flavor = "multi_thread")]
async fn many_acknowledgements_at_the_very_end_are_all_taken() {
    let broker = TestBroker::new().await;
    for stops_first in [false, true, false, true] {
        let (begun, ended) = (Record::default(), Record::default());
        let gates = [Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0))];
        let (begin, end, doors) = (begun.clone(), ended.clone(), gates.clone());
        let subscription = Subscription::to("order").concurrency(300).prefetch(300).handler(move |event: AnyEvent| {
            let (number, end) = (number(&event), end.clone());
            let door = Arc::clone(&doors[usize::from(number % 2 == 0)]);
            begin.add(number);
            async move {
                door.acquire().await.unwrap().forget();
                end.add(number);
            }
        });
        let running = broker.start(Service::new("fast").publishes::<AnyEvent>().subscription(subscription)).await;
        publish_numbers(&any(&running), "order", 0..300).await;
        begun.wait_for(300).await;
        let mut stopping = Box::pin(stop(running));
        if stops_first {
            assert!((&mut stopping).now_or_never().is_none());
            eventually("the broker is told", || async {
                broker.list("list_consumers", &["queue_name"]).await.is_empty()
            })
            .await;
        }
        // Every other one first, so that no two of them are neighbours.
        gates[0].add_permits(150);
        ended.wait_for(150).await;
        gates[1].add_permits(150);
        stopping.await;
        Books::read(&broker).await.balance(0, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_a_service_that_is_dropped_are_closed() {
    let broker = TestBroker::new().await;
    let (begun, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let running = broker.start(gated(&begun, &Record::default(), &gate)).await;
    publish_numbers(&any(&running), "order", 0..2).await;
    begun.wait_for(2).await;
    drop(running);
    eventually("its connections are closed", || async { broker.connections().await.is_empty() }).await;
}

/// A shutdown while the broker does not answer, and how long it may take.
async fn ends_in_time(node: &Node, broker: &TestBroker, away: impl AsyncFnOnce(&Node), limit: Duration) {
    let (begun, ended, gate) = (Record::default(), Record::default(), Arc::new(Semaphore::new(0)));
    let service = gated(&begun, &ended, &gate).grace("2s").broker(format!("{}?heartbeat=60", broker.url()));
    let running = within("starting", service.start()).await.unwrap();
    publish_numbers(&any(&running), "order", 0..4).await;
    begun.wait_for(4).await;
    away(node).await;
    let publisher = any(&running);
    let waiting = tokio::spawn(async move { publisher.publish(numbered("order", 4)).await });
    // They end, but nobody takes their acknowledgements.
    gate.add_permits(10);
    ended.wait_for(4).await;
    eventually("the event is on its way", || async { !waiting.is_finished() }).await;
    let since = Instant::now();
    let _ = within("stopping", running.shutdown()).await;
    let took = since.elapsed();
    assert!(took < limit, "the shutdown took {took:?}");
    drop(running);
    let answer = within("an answer", waiting).await.unwrap().unwrap_err();
    // Whether it was written before the loss was noticed, nobody can say beforehand.
    assert!(matches!(answer, PublishError::Closed { .. } | PublishError::CutOff { .. }), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_broker_is_gone_stops_in_time() {
    let node = Node::private("gone", &[]).await;
    let broker = TestBroker::on(&node).await;
    // The grace, and a moment for the last answers.
    ends_in_time(&node, &broker, async |node| node.kill().await, Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_broker_is_frozen_stops_in_time() {
    let node = Node::private("stuck", &[]).await;
    let broker = TestBroker::on(&node).await;
    // And for two connections that are not closed well.
    ends_in_time(&node, &broker, async |node| node.freeze().await, Duration::from_secs(16)).await;
    node.thaw().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_broker_takes_nothing_stops_in_time() {
    let node = Node::private("blocked", &[]).await;
    let broker = TestBroker::on(&node).await;
    let alarm = async |node: &Node| _ = node.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"]).await;
    // And for a connection that is not closed well.
    ends_in_time(&node, &broker, alarm, Duration::from_secs(16)).await;
}

fn child(broker: &TestBroker, variables: &[(&str, &str)], lines: &Record<String>) -> Child {
    let url = broker.url();
    let variables = [&[("AMQP_URL", url.as_str())], variables].concat();
    Child::start(env!("CARGO_BIN_EXE_worker"), &variables, lines)
}

async fn jobs(broker: &TestBroker, count: u64) {
    within("declaring", Service::new("worker").broker(broker.url()).subscription(work()).declare()).await.unwrap();
    let sender = broker.start(Service::new("sender").publishes::<AnyEvent>()).await;
    publish_numbers(&any(&sender), "job.new", 0..count).await;
    stop(sender).await;
}

/// What the child subscribes to.
fn work() -> Subscription {
    Subscription::to("job.*").name("work").handler(|_: AnyEvent| async {})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_process_when_its_work_is_done() {
    let broker = TestBroker::new().await;
    jobs(&broker, 1).await;
    let lines = Record::default();
    let mut process = child(&broker, &[("HOLD", "0"), ("HOLD_MS", "1500")], &lines);
    assert_eq!(lines.wait_for(1).await, ["begun 0"]);
    process.signal("TERM").await;
    assert_eq!(process.wait().await.code(), Some(0));
    assert_eq!(lines.wait_for(2).await, ["begun 0", "handled 0"]);
    Books::read(&broker).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    let broker = TestBroker::new().await;
    jobs(&broker, 1).await;
    let lines = Record::default();
    let mut process = child(&broker, &[("HOLD", "0")], &lines);
    lines.wait_for(1).await;
    process.signal("INT").await;
    let since = Instant::now();
    process.signal("TERM").await;
    let status = process.wait().await;
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    assert!(!status.success(), "{status}");
    assert_eq!(lines.all(), ["begun 0"]);
    // The event comes again.
    let mut again = child(&broker, &[], &lines);
    assert_eq!(lines.wait_for(3).await, ["begun 0", "begun 0", "handled 0"]);
    again.signal("TERM").await;
    assert!(again.wait().await.success());
    Books::read(&broker).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_process_that_waits_for_its_broker() {
    let lines = Record::default();
    let variables = [("AMQP_URL", "amqp://127.0.0.1:1"), ("RUST_LOG", "rabbitry=warn")];
    for signal in ["TERM", "INT"] {
        let before = lines.len();
        let mut process = Child::start(env!("CARGO_BIN_EXE_worker"), &variables, &lines);
        let waits = || lines.all()[before..].iter().any(|line| line.contains("cannot connect to RabbitMQ"));
        eventually("it waits for its broker", || async { waits() }).await;
        process.signal(signal).await;
        assert_eq!(process.wait().await.code(), Some(0));
    }
}

/// What was not confirmed when the process had to end is said again by the next, with the same ids.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_nothing_is_confirmed_loses_nothing() {
    let node = Node::private("unconfirmed", &[]).await;
    let broker = TestBroker::on(&node).await;
    jobs(&broker, 500).await;
    let client = broker.client().await;
    let text = Header::LongString("quorum".into());
    client.declare_queue_with("echoes", &[("x-queue-type", text)]).await;
    client.bind("echoes", "events", "echo").await;
    let lines = Record::default();
    let variables = [("ECHO", "1"), ("GRACE", "2s"), ("EACH_MS", "20")];
    let mut process = child(&broker, &variables, &lines);
    lines.wait_for(200).await;
    node.freeze().await;
    // Each of its sixteen hands is full of what has no confirm, or will be within a moment.
    let since = Instant::now();
    process.signal("TERM").await;
    let status = process.wait().await;
    assert_eq!(status.code(), Some(1), "it says that it did not end well");
    assert!(since.elapsed() < Duration::from_secs(16), "{:?}", since.elapsed());
    node.thaw().await;
    let mut next = child(&broker, &variables, &lines);
    let mut echoes = BTreeSet::new();
    while echoes.len() < 500 {
        let echo = &client.receive("echoes", 1).await[0];
        echoes.insert((echo.json()["data"].as_u64(), echo.id()));
    }
    assert!(echoes.iter().map(|(number, _)| *number).eq((0..500).map(Some)), "each has one id: {echoes:?}");
    eventually("all is acknowledged", || async { client.count("worker.work").await == Some(0) }).await;
    next.signal("TERM").await;
    assert_eq!(next.wait().await.code(), Some(0));
    assert_eq!(client.count("worker.work").await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_keeps_its_thread_does_not_keep_the_shutdown() {
    let broker = TestBroker::new().await;
    let (begun, (free, held)) = (Record::default(), mpsc::channel::<()>());
    let (notes, held) = (begun.clone(), Mutex::new(held));
    let keeps = Subscription::to("order").name("keeps").handler(move |event: AnyEvent| {
        notes.add(number(&event));
        // Not how it is done: a handler should await.
        let _ = held.lock().unwrap().recv();
        async {}
    });
    let service = Service::new("kept").publishes::<AnyEvent>().grace("1s").subscription(keeps);
    let running = broker.start(service).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    begun.wait_for(1).await;
    let error = within("stopping", running.shutdown()).await.unwrap_err();
    assert_eq!(error.cut_off, [("keeps".to_owned(), 1)]);
    drop(free);
    drop(running);
    eventually("its connections are closed", || async { broker.connections().await.is_empty() }).await;
    Books::read(&broker).await.balance(1, 0);
}
