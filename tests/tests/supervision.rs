//! A consumer that is gone is never silent: what is lost is said once, comes back by itself, and health shows it meanwhile.

use std::{sync::Arc, time::Duration};

use rabbitry::{
    AnyEvent, Attempt, Broker, HandlerError, Lifecycle, QueueType, RetryPolicy, Running, Service, StartError, Status,
    Subscription, observe::Run, prelude::*, testing::TestClock,
};
use rabbitry_tests::{
    Books, HeldClock, Lines, Node, Record, TestBroker, any, assert_all, eventually, note, number, publish_numbers,
    stop, within,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// All of this target collect the log: whoever is first takes it for all.
async fn test_broker() -> TestBroker {
    let _ = Lines::listen();
    TestBroker::new().await
}

/// Closes the service's connections as an operator does, and waits until it has them again.
async fn cut(broker: &TestBroker, running: &Running) {
    let since = shown(running).since;
    broker.close_connections().await;
    eventually("it is back", || async { running.health().is_ready() && shown(running).since > since }).await;
}

fn shown(running: &Running) -> rabbitry::SubscriptionHealth {
    running.health().subscriptions.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_one_warning_and_its_end_one_line() {
    let lines = Lines::listen();
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let mut service = Service::new("tells").publishes::<AnyEvent>();
    for handler in ["one", "two", "three", "four", "five"] {
        service = service.subscription(Subscription::to("order").name(handler).handler(note(&seen)));
    }
    let running = broker.start(service).await;
    for (round, cut) in [(1, 0), (2, 5)] {
        broker.close_connections().await;
        eventually("the loss is noticed", || async { lines.with(&["WARN", "tells consuming"]).len() >= round }).await;
        eventually("it is ready again", || async { running.health().is_ready() }).await;
        publish_numbers(&any(&running), "order", cut..cut + 5).await;
        seen.wait_for(round * 25).await;
        for connection in ["tells consuming", "tells publishing"] {
            eventually("its end is said", || async {
                lines.with(&["INFO", connection, "connected to RabbitMQ again", "after="]).len() == round
            })
            .await;
            assert_eq!(lines.with(&["WARN", connection, "lost a connection"]).len(), round);
        }
    }
    // Neither its five subscriptions nor its publisher have anything to add.
    let warnings = lines.with(&["WARN", "tells"]);
    assert_eq!(warnings.len(), 4, "{warnings:#?}");
    assert_eq!(shown(&running).state, Lifecycle::Running);
    stop(running).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publishing_channel_that_is_closed_is_one_warning_and_its_end_one_line() {
    let lines = Lines::listen();
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let handler = Subscription::to("order").name("one").handler(note(&seen));
    let running = broker.start(Service::new("parted").publishes::<AnyEvent>().subscription(handler)).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    broker.client().await.delete_exchange("events").await;
    publish_numbers(&any(&running), "order", 1..50).await;
    seen.wait_for_all(0..50).await;
    for said in [["WARN", "parted", "lost the publishing channel"], ["INFO", "parted", "publishing again"]] {
        assert_eq!(lines.with(&said).len(), 1, "{said:?}");
    }
    let publishing = running.health().publishing;
    assert_eq!(publishing.state, Lifecycle::Running);
    assert!(publishing.last_error.is_none(), "its connection was never lost: {publishing:?}");
    stop(running).await;
    Books::read(&broker).await.balance(50, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_channel_left_is_not_run() {
    let broker = test_broker().await;
    let (runs, attempts, gate) = (Record::default(), Record::default(), Arc::new(Semaphore::new(0)));
    let (record, numbers, slow) = (runs.clone(), attempts.clone(), Arc::clone(&gate));
    let handler = Subscription::to("order").name("slow").concurrency(4).prefetch(200).handler(
        move |event: AnyEvent, attempt: Attempt| {
            record.add(number(&event));
            numbers.add(attempt.number);
            let slow = Arc::clone(&slow);
            async move { slow.acquire().await.unwrap().forget() }
        },
    );
    let running = broker.start(Service::new("worker").publishes::<AnyEvent>().subscription(handler)).await;
    publish_numbers(&any(&running), "order", 0..200).await;
    for ended in [50, 60] {
        gate.add_permits(ended);
        runs.wait_for(runs.len().max(ended)).await;
        eventually("all permits are used", || async {
            gate.available_permits() == 0 && shown(&running).in_flight == 4
        })
        .await;
        cut(&broker, &running).await;
    }
    gate.add_permits(1000);
    runs.wait_for_all(0..200).await;
    Books::settled(&broker, 0).await;
    stop(running).await;
    assert!(runs.len() <= 208, "{} runs", runs.len());
    // A lost connection costs no attempt.
    assert!(attempts.all().iter().all(|attempt| *attempt == 1));
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_lost_again_and_again_make_no_event_abandoned() {
    let broker = test_broker().await;
    let (runs, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let (record, slow) = (runs.clone(), Arc::clone(&gate));
    // One attempt: an event that is taken for one that kills its consumers would be dead.
    let handler =
        Subscription::to("order").concurrency(1).prefetch(20).retry(RetryPolicy::default().attempts(1)).handler(
            move |event: AnyEvent| {
                record.add(number(&event));
                let slow = Arc::clone(&slow);
                async move { slow.acquire().await.unwrap().forget() }
            },
        );
    let running = broker.start(Service::new("flaps").publishes::<AnyEvent>().subscription(handler)).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    runs.wait_for(1).await;
    for _ in 0..6 {
        // It is sent ahead while its first run goes on, and counts as delivered once more each time.
        cut(&broker, &running).await;
    }
    gate.add_permits(1000);
    assert_eq!(runs.wait_for(2).await, [0, 0]);
    Books::settled(&broker, 0).await;
    stop(running).await;
    assert_eq!(Books::read(&broker).await, Books::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_subscription_has_nothing_in_flight() {
    let broker = test_broker().await;
    let seen = Record::default();
    let service = Service::new("idle").publishes::<AnyEvent>().subscribe("order", note(&seen));
    let running = broker.start(service).await;
    // It is over while the broker is told to send more ahead.
    publish_numbers(&any(&running), "order", 0..1).await;
    seen.wait_for(1).await;
    eventually("nothing is in flight", || async { shown(&running).in_flight == 0 }).await;
    stop(running).await;
}

/// Suspends the channel's process at the broker, which takes its deliveries and whatever else it should tell, and passes on
/// nothing.
async fn suspend_consumers(broker: &TestBroker) {
    let suspend = format!(
        "length([sys:suspend(Pid) || Pid <- rabbit_channel:list_local(), \
         [{{vhost, Vhost}}, {{consumer_count, Count}}] <- [rabbit_channel:info(Pid, [vhost, consumer_count])], \
         Vhost =:= <<\"{}\">>, Count > 0]).",
        broker.vhost()
    );
    assert_eq!(broker.node().ctl(&["eval", &suspend]).await, "1");
}

/// A service named so that has had ten events and hears nothing from now on, on a node of its own: what stands still there
/// would hold up others' questions to it.
async fn deaf(name: &str) -> (TestBroker, Record<u64>, Running) {
    let node = Node::private(name, &[]).await;
    let broker = TestBroker::on(&node).await;
    let seen = Record::default();
    let service = Service::new(name).publishes::<AnyEvent>().subscribe("order", note(&seen));
    let running = broker.start(service).await;
    publish_numbers(&any(&running), "order", 0..10).await;
    seen.wait_for(10).await;
    assert_eq!(shown(&running).state, Lifecycle::Running);
    suspend_consumers(&broker).await;
    (broker, seen, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_hears_nothing_is_brought_back() {
    let lines = Lines::listen();
    let (_broker, seen, running) = deaf("deaf").await;
    publish_numbers(&any(&running), "order", 10..200).await;
    lines.wait_for(&["WARN", "deaf consuming", "nothing has come from it"]).await;
    assert_all(&seen.wait_for_all(0..200).await, 0..200);
    eventually("it is ready again", || async { running.health().is_ready() }).await;
    let error = running.health().consuming.unwrap().last_error.unwrap();
    assert!(error.text.contains("queue deaf.order holds"), "{error:?}");
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_is_not_told_of_its_queues_end_is_brought_back() {
    let lines = Lines::listen();
    let (broker, seen, running) = deaf("untold").await;
    broker.client().await.delete_queue("untold.order").await;
    lines.wait_for(&["WARN", "untold consuming", "queue untold.order is gone"]).await;
    eventually("it is ready again", || async { running.health().is_ready() }).await;
    publish_numbers(&any(&running), "order", 10..20).await;
    seen.wait_for_all(0..20).await;
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_stays_away_is_said_again() {
    let lines = Lines::listen();
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    client.declare_queue_with("theirs", &[]).await;
    let taken = Subscription::to("order").queue("theirs").queue_type(QueueType::Existing);
    let seen = Record::default();
    let running = broker.start(Service::new("away").subscription(taken.handler(note(&seen)))).await;
    client.delete_queue("theirs").await;
    lines.wait_for(&["WARN", "away", "although its connection works", "theirs", "404"]).await;
    let health = running.health();
    assert_eq!(
        (health.status(), health.subscriptions[0].state, health.subscriptions[0].consuming),
        (Status::Unhealthy, Lifecycle::Recovering, false)
    );
    let problems = health.problems();
    assert!(problems[0].contains("(queue theirs): it is recovering") && problems[0].contains("404"), "{problems:?}");
    client.declare_queue("theirs", "events", "order").await;
    lines.wait_for(&["INFO", "away", "a subscription receives again", "after="]).await;
    client.publish("events", "order", Default::default(), b"7").await;
    seen.wait_for(1).await;
    assert!(running.health().problems().is_empty() && shown(&running).last_delivery.is_some());
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_dead_letters_degrade_health() {
    let lines = Lines::listen();
    let clock = TestClock::new();
    let broker = Broker::memory();
    let refuses = Subscription::to("order").handler(|_: AnyEvent| async { Err::<(), _>("no").or_reject() });
    let service = Service::new("refuser").publishes::<AnyEvent>().subscription(refuses).dead_letter_limit(3);
    let running = within("starting", service.broker(broker).clock(clock.clone()).start()).await.unwrap();
    let counted = |dead: u64| {
        let (running, clock) = (&running, clock.clone());
        async move {
            eventually(format!("{dead} are counted"), || async {
                // It counts every 30 s.
                clock.advance(Duration::from_secs(1));
                shown(running).dead_letters == Some(dead)
            })
            .await;
        }
    };
    counted(0).await;
    assert_eq!((running.health().status(), running.health().undeliverable), (Status::Healthy, Some(0)));
    publish_numbers(&any(&running), "order", 0..3).await;
    counted(3).await;
    assert_eq!(running.health().status(), Status::Healthy);
    publish_numbers(&any(&running), "order", 3..5).await;
    counted(5).await;
    let health = running.health();
    assert!(health.status() == Status::Degraded && health.is_ready());
    assert!(health.problems()[0].contains("5 dead letters in refuser.order.dead"), "{:?}", health.problems());
    let warnings = || lines.with(&["WARN", "refuser.order.dead", "more messages than the limit", "messages=5"]).len();
    assert_eq!(warnings(), 1);
    // It is not said each time.
    publish_numbers(&any(&running), "order", 5..6).await;
    counted(6).await;
    assert_eq!(lines.with(&["WARN", "refuser.order.dead", "more messages than the limit"]).len(), 1);
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_gives_up_when_it_is_told_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://guest:s3cret@{}/%2f", listener.local_addr().unwrap());
    drop(listener);
    let service = Service::new("early").publishes::<AnyEvent>().broker(url).start_timeout("300ms");
    let error = within("giving up", service.start()).await.unwrap_err();
    assert!(matches!(error, StartError::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("was not there within 300ms") && text.contains("refused") && !text.contains("s3cret"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_hangs_does_not_hold_up_the_next() {
    let broker = test_broker().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = broker.url().split(['@', '/']).nth(3).unwrap().to_owned();
    let url = broker.url().replace(&target, &address);
    tokio::spawn(async move {
        // The first two of the way that leads nowhere, as behind a load balancer that has lost its target.
        let mut lost = Vec::new();
        while let Ok((mut near, _)) = listener.accept().await {
            if lost.len() < 2 {
                lost.push(near);
                continue;
            }
            let target = target.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    // Nobody's ten seconds ever end.
    let clock = HeldClock::holding(Duration::from_secs(10));
    let seen = Record::default();
    let service = Service::new("patient").publishes::<AnyEvent>().subscribe("order", note(&seen));
    let running = within("starting", service.broker(url).clock(clock).start()).await.unwrap();
    publish_numbers(&any(&running), "order", 0..10).await;
    seen.wait_for(10).await;
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_when_its_channel_is_gone_is_told_of_as_what_it_is() {
    let lines = Lines::listen();
    let broker = TestBroker::new().await;
    let (attempts, told, gate) = (Record::default(), Record::default(), Arc::new(Semaphore::new(0)));
    let (record, ends, slow) = (attempts.clone(), told.clone(), Arc::clone(&gate));
    // It would be dead, and is not: its event comes again.
    let handler = Subscription::to("order").retry(RetryPolicy::default().attempts(1)).handler(
        move |_: AnyEvent, attempt: Attempt| {
            record.add(attempt.number);
            let slow = Arc::clone(&slow);
            async move {
                slow.acquire().await.unwrap().forget();
                Err::<(), HandlerError>("no".into())
            }
        },
    );
    let service = Service::new("fails").publishes::<AnyEvent>().subscription(handler);
    let running = broker.start(service.observer(move |run: &Run<'_>| ends.add(run.end.to_string()))).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    attempts.wait_for(1).await;
    cut(&broker, &running).await;
    // The one that comes again may run beside it, and is the next to fail.
    gate.add_permits(1);
    lines.wait_for(&["WARN", "fails", "whose channel was lost meanwhile"]).await;
    assert_eq!((told.len(), running.health().subscriptions[0].dead_letters.unwrap_or_default()), (0, 0));
    gate.add_permits(1);
    Books::settled(&broker, 1).await;
    stop(running).await;
    assert_eq!(attempts.all(), [1, 1]);
    assert_eq!(told.all(), ["failed (error: no), to the dead letters"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_go_on_where_a_lost_connection_left_them() {
    let broker = test_broker().await;
    let attempts = Record::default();
    let record = attempts.clone();
    let policy = RetryPolicy::default().attempts(3).immediate(0);
    let handler = Subscription::to("order").retry(policy).handler(move |_: AnyEvent, attempt: Attempt| {
        record.add(attempt.number);
        async { Err::<(), HandlerError>("not yet".into()) }
    });
    let running = broker.start(Service::new("tries").publishes::<AnyEvent>().subscription(handler)).await;
    publish_numbers(&any(&running), "order", 0..1).await;
    for seen in 1..=2 {
        attempts.wait_for(seen).await;
        broker.close_connections().await;
    }
    attempts.wait_for(3).await;
    Books::settled(&broker, 1).await;
    stop(running).await;
    let mut seen = attempts.all();
    // A cut may come between a run and its copy's confirm: then it runs once more, as the same attempt.
    seen.dedup();
    assert_eq!(seen, [1, 2, 3]);
}
