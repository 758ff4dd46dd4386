//! What becomes of events when connections, queues and brokers go, and come back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rabbitry::{AnyEvent, ConnectionHealth, Lifecycle, Publisher, Service, Subscription};
use rabbitry_tests::{
    Books, HeldClock, Node, Record, TestBroker, any, assert_all, assert_each_once, eventually, note, number, numbered,
    publish_numbers, stop, within,
};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    sync::{Semaphore, mpsc},
};

fn echo(seen: &Record<u64>) -> Service {
    Service::new("echo").publishes::<AnyEvent>().subscribe("order", note(seen))
}

/// Publishes numbers one after the other, so many at a time, until told to stop; all that were confirmed, in the end.
fn flow(
    publisher: &Publisher<AnyEvent>,
    width: u64,
) -> (Record<u64>, tokio::task::JoinHandle<Vec<u64>>, Arc<Semaphore>) {
    let (confirmed, enough) = (Record::default(), Arc::new(Semaphore::new(0)));
    let (publisher, record, stop) = (publisher.clone(), confirmed.clone(), Arc::clone(&enough));
    let task = tokio::spawn(async move {
        let mut next = 0;
        while stop.available_permits() == 0 {
            let publications = (next..next + width).map(|number| {
                let publication = publisher.publish(numbered("order", number));
                async move { publication.await.map(|_| number) }
            });
            for number in futures_util::future::join_all(publications).await.into_iter().flatten() {
                record.add(number);
            }
            next += width;
        }
        record.all()
    });
    (confirmed, task, enough)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_an_operator_closes_lose_no_event() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let running = broker.start(echo(&seen)).await;
    let (confirmed, task, enough) = flow(&any(&running), 64);
    for share in 1..=4 {
        confirmed.wait_for(share * 2000).await;
        broker.close_connections().await;
    }
    confirmed.wait_for(10_000).await;
    enough.add_permits(1);
    let mut confirmed = within("the last confirms", task).await.unwrap();
    confirmed.sort_unstable();
    let last = confirmed.last().copied().unwrap_or_default();
    assert_each_once(confirmed, 0..last + 1);
    seen.wait_for_all(0..last + 1).await;
    eventually("it is ready again", || async { running.health().is_ready() }).await;
    // It goes on.
    publish_numbers(&any(&running), "order", last + 1..last + 101).await;
    seen.wait_for_all(last + 1..last + 101).await;
    stop(running).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_outlives_its_channel_acknowledges_nothing() {
    let broker = TestBroker::new().await;
    let (begun, first, second) = (Record::default(), Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (record, gates) = (begun.clone(), [Arc::clone(&first), Arc::clone(&second)]);
    let service = Service::new("echo").publishes::<AnyEvent>().subscribe("order", move |event: AnyEvent| {
        record.add(number(&event));
        // The first run waits at the first gate, its repetition at the second; the other event waits at none.
        let gate = (number(&event) == 0).then(|| Arc::clone(&gates[record.len().min(2) - 1]));
        async move {
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
        }
    });
    let running = broker.start(service).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    begun.wait_for(1).await;
    broker.close_connections().await;
    assert_eq!(begun.wait_for(2).await, [0, 0]);
    // Its tag is that of the second run, on another channel.
    first.add_permits(1);
    publish_numbers(&any(&running), "order", 1..2).await;
    begun.wait_for(3).await;
    let client = broker.client().await;
    eventually("the other one is acknowledged", || async {
        let rows = broker.list("list_queues", &["name", "messages"]).await;
        rows.iter().any(|row| row[0] == "echo.order" && row[1] == "1")
    })
    .await;
    // Cut off, it comes again.
    drop(running);
    assert_eq!(client.receive("echo.order", 1).await[0].json()["data"], 0);
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_loses_no_confirmed_event() {
    let node = Node::private("killed", &[]).await;
    let broker = TestBroker::on(&node).await;
    let seen = Record::default();
    let running = broker.start(echo(&seen)).await;
    let (confirmed, task, enough) = flow(&any(&running), 8);
    // RabbitMQ itself loses a quorum queue that was declared in the last second before it is killed.
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        seen.wait_for(seen.len() + 1).await;
    }
    node.kill().await;
    eventually("it is down", || async {
        let health = running.health();
        health.publishing.state == Lifecycle::Recovering && !health.subscriptions[0].consuming
    })
    .await;
    let health = running.health();
    assert!(health.subscriptions[0].problem.is_some() && !health.is_ready(), "{health:?}");
    node.restart().await;
    eventually("it is ready again", || async { running.health().is_ready() }).await;
    confirmed.wait_for(confirmed.len() + 1000).await;
    enough.add_permits(1);
    let confirmed = within("the last confirms", task).await.unwrap();
    let last = confirmed.iter().max().copied().unwrap_or_default();
    // None is missing: an event that was on its way when the broker died was sent again.
    assert_each_once(confirmed, 0..last + 1);
    assert_all(&seen.wait_for_all(0..last + 1).await, 0..last + 1);
    stop(running).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_freezes_is_noticed_and_found_again() {
    let node = Node::private("frozen", &[]).await;
    let broker = TestBroker::on(&node).await;
    let seen = Record::default();
    // Connecting gives up soon, so that many attempts are made while nobody answers.
    let clock = HeldClock::holding(Duration::from_secs(10));
    let service = echo(&seen).broker(format!("{}?heartbeat=2", broker.url())).clock(clock.clone());
    let running = within("starting", service.start()).await.unwrap();
    publish_numbers(&any(&running), "order", 0..100).await;
    seen.wait_for(100).await;
    node.freeze().await;
    eventually("the silence is noticed", || async {
        let health = running.health();
        let down = |connection: &ConnectionHealth| connection.state == Lifecycle::Recovering;
        down(&health.publishing) && health.consuming.as_ref().is_some_and(down) && !health.subscriptions[0].consuming
    })
    .await;
    let begun = clock.all_begun();
    for attempt in 1..=6 {
        clock.release();
        clock.begun(begun + attempt).await;
    }
    let publisher = any(&running);
    let waiting = tokio::spawn(async move { publisher.publish(numbered("order", 100)).await });
    node.thaw().await;
    within("the event that waited", waiting).await.unwrap().unwrap();
    eventually("it is ready again", || async { running.health().is_ready() }).await;
    publish_numbers(&any(&running), "order", 101..200).await;
    seen.wait_for_all(0..200).await;
    // The attempts that were given up left nothing behind.
    let names = || async {
        let mut names = broker.connections().await;
        names.sort();
        names == ["echo consuming", "echo publishing"]
    };
    eventually("there are two connections", names).await;
    stop(running).await;
    eventually("there are none", || async { broker.connections().await.is_empty() }).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_deleted_is_made_again() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let running = broker.start(echo(&seen)).await;
    publish_numbers(&any(&running), "order", 0..10).await;
    seen.wait_for(10).await;
    let client = broker.client().await;
    for round in 1..=3 {
        client.delete_queue("echo.order").await;
        // Until it is there again, nothing is bound.
        eventually("it consumes again", || async {
            let reaches = |publisher: Publisher<AnyEvent>| async move {
                publisher.publish(numbered("order", 1000 + round)).await.unwrap();
            };
            reaches(any(&running)).await;
            seen.all().contains(&(1000 + round))
        })
        .await;
        assert!(running.health().is_ready());
    }
    Books::settled(&broker, 0).await;
    stop(running).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_why_a_subscription_receives_nothing() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let client = broker.client().await;
    client.declare_queue_with("in", &[]).await;
    let taken = Subscription::to("order").queue("in").queue_type(rabbitry::QueueType::Existing);
    let running = broker.start(Service::new("echo").subscription(taken.handler(note(&seen)))).await;
    let health = running.health();
    assert!(health.is_ready() && health.subscriptions[0].consuming && health.subscriptions[0].queue == "in");
    // It is not ours to make again.
    client.delete_queue("in").await;
    eventually("it is said", || async { running.health().subscriptions[0].problem.is_some() }).await;
    let health = running.health();
    let reason = health.subscriptions[0].problem.clone().unwrap();
    // First that the consumer was cancelled, then that there is no such queue.
    assert!(reason.contains("queue was deleted") || reason.contains("no queue 'in'"), "{reason}");
    assert!(!health.is_ready());
    client.declare_queue("in", "events", "order").await;
    eventually("it is ready again", || async { running.health().is_ready() }).await;
    client.publish("events", "order", Default::default(), b"1").await;
    assert_eq!(seen.wait_for(1).await, [1]);
    stop(running).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}

/// A server that takes connections and says nothing; each connection's first bytes, and its end as an empty text.
async fn silent() -> (u16, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hearing) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let heard = heard.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                loop {
                    let count = socket.read(&mut bytes).await.unwrap_or(0);
                    if heard.send(bytes[..count].to_vec()).is_err() || count == 0 {
                        return;
                    }
                }
            });
        }
    });
    (port, hearing)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_says_nothing_is_given_up_and_tried_again() {
    let (port, mut hearing) = silent().await;
    let clock = HeldClock::holding(Duration::from_secs(10));
    let service = echo(&Record::default()).broker(format!("amqp://guest:guest@127.0.0.1:{port}/%2f"));
    let starting = tokio::spawn(service.clock(clock.clone()).start());
    for attempt in 1..=5 {
        clock.begun(attempt).await;
        let greeting = within("a greeting", hearing.recv()).await.unwrap();
        assert_eq!(greeting, b"AMQP\0\0\x09\x01");
        clock.release();
        // Whatever is given up is let go of: no connection, and no thread of one, stays behind.
        assert_eq!(within("the end of the attempt", hearing.recv()).await.unwrap(), b"");
    }
    assert!(!starting.is_finished());
    within("the last greeting", hearing.recv()).await.unwrap();
    starting.abort();
    assert!(within("being cancelled", starting).await.unwrap_err().is_cancelled());
    assert_eq!(within("the end of the last attempt", hearing.recv()).await.unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_wants_tls_never_speaks_clear_text() {
    let broker = TestBroker::new().await;
    let (port, mut hearing) = silent().await;
    let url = broker.url().replace("amqp://guest:guest", "amqps://me:s3cret");
    let host = url.split(['@', '/']).nth(3).unwrap().to_owned();
    let spoken =
        tokio::spawn(echo(&Record::default()).broker(url.replace(&host, &format!("127.0.0.1:{port}"))).start());
    let first = within("a first word", hearing.recv()).await.unwrap();
    assert_eq!(first[0], 0x16, "not the beginning of TLS: {first:?}");
    assert!(!first.windows(4).any(|four| four == b"AMQP"));
    spoken.abort();
    // And a broker that does not speak it is none.
    let mut starting = Box::pin(echo(&Record::default()).broker(url).start());
    let clear = tokio::time::timeout(Duration::from_secs(2), &mut starting).await;
    assert!(clear.is_err(), "{clear:?}");
    assert_eq!(broker.connections().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_start_before_its_broker() {
    let node = Node::private("late", &[]).await;
    let broker = TestBroker::on(&node).await;
    node.stop().await;
    let seen = Record::default();
    let starting = tokio::spawn(echo(&seen).broker(broker.url()).start());
    node.restart().await;
    let running = within("starting", starting).await.unwrap().unwrap();
    publish_numbers(&any(&running), "order", 0..10).await;
    assert_each_once(seen.wait_for(10).await, 0..10);
    stop(running).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_outlasts_the_brokers_patience_gets_its_event_again() {
    let node = Node::private("patience", &["consumer_timeout = 5000"]).await;
    // How often it looks; a minute by default, and no setting of rabbitmq.conf.
    node.ctl(&["eval", "application:set_env(rabbit, channel_tick_interval, 1000)."]).await;
    let broker = TestBroker::on(&node).await;
    let (seen, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let (record, waiting) = (seen.clone(), Arc::clone(&gate));
    let service = Service::new("echo").publishes::<AnyEvent>().subscribe("order", move |event: AnyEvent| {
        let (record, waiting) = (record.clone(), Arc::clone(&waiting));
        async move {
            record.add(number(&event));
            if number(&event) == 0 && record.len() == 1 {
                waiting.acquire().await.unwrap().forget();
            }
        }
    });
    let running = broker.start(service).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    // The second run begins while the first still waits: it has outlived its channel.
    assert_eq!(seen.wait_for(2).await, [0, 0]);
    gate.add_permits(1);
    eventually("it is ready", || async { running.health().is_ready() }).await;
    publish_numbers(&any(&running), "order", 1..50).await;
    seen.wait_for_all(0..50).await;
    stop(running).await;
    assert_eq!(seen.len(), 51);
    assert_eq!(Books::read(&broker).await, Books::default());
}
