//! What stands in a service's way is said, and holds up nothing else: alarms, handlers that hold their thread, brokers that refuse.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use rabbitry::{
    AnyEvent, Broker, Lifecycle, PublishError, QueueType, Service, Status, Subscription, transport::TransportError,
};
use rabbitry_tests::{
    Books, HeldClock, Lines, Node, Proxy, Puppet, Record, TestBroker, any, assert_each_once, eventually, note, number,
    numbered, publish_numbers, stop, within,
};
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_said_and_its_end_too() {
    let lines = Lines::listen();
    let node = Node::private("alarmed", &[]).await;
    let broker = TestBroker::on(&node).await;
    let seen = Record::default();
    let running = broker.start(Service::new("waits").publishes::<AnyEvent>().subscribe("order", note(&seen))).await;
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "1MB"]).await;
    let hurried = broker.start(Service::new("hurries").publishes::<AnyEvent>().publish_timeout("100ms")).await;
    let publisher = any(&running);
    let waiting = tokio::spawn(async move { publish_numbers(&publisher, "order", 0..10).await });
    lines.wait_for(&["WARN", "waits", "takes nothing from publishers", "low on memory"]).await;
    assert_eq!(running.health().status(), Status::Unhealthy);
    let problems = running.health().problems();
    assert!(problems.iter().any(|problem| problem.contains("low on memory")), "{problems:?}");
    // RabbitMQ says so to those that try. Nothing is written any more, so that what comes then is certainly not published.
    let error = any(&hurried).publish(numbered("order", 99)).await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    eventually("the other one knows it, too", || async { !hurried.health().is_ready() }).await;
    for number in 100..103 {
        let error = any(&hurried).publish(numbered("order", number)).await.unwrap_err();
        assert!(matches!(error, PublishError::NeverSent { .. }) && !error.may_have_arrived(), "{error:?}");
    }
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "2GB"]).await;
    lines.wait_for(&["INFO", "waits", "takes from publishers again", "after="]).await;
    within("the events that waited", waiting).await.unwrap();
    eventually("the other one publishes again", || async { hurried.health().is_ready() }).await;
    publish_numbers(&any(&hurried), "order", 10..11).await;
    seen.wait_for_all(0..11).await;
    Books::settled(&broker, 0).await;
    assert_each_once(seen.all().into_iter().filter(|number| *number != 99).collect(), 0..11);
    assert_eq!(lines.with(&["waits", "takes nothing from publishers"]).len(), 1);
    stop(hurried).await;
    stop(running).await;
}

/// Handlers that compute and never wait leave no gap between two of them: what is finished is acknowledged all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_never_waits_is_acknowledged_as_it_ends() {
    let broker = TestBroker::new().await;
    let (open, gate) = mpsc::channel::<()>();
    let (begun, gate) = (Record::default(), Mutex::new(gate));
    let record = begun.clone();
    let computes = Subscription::to("order").name("computes").prefetch(256).handler(move |event: AnyEvent| {
        std::thread::sleep(Duration::from_millis(10));
        record.add(number(&event));
        // At first until all are there.
        if [0, 20].contains(&number(&event)) {
            let _ = gate.lock().unwrap().recv();
        }
        async {}
    });
    let running = broker.start(Service::new("service").publishes::<AnyEvent>().subscription(computes)).await;
    publish_numbers(&any(&running), "order", 0..40).await;
    open.send(()).unwrap();
    begun.wait_for(21).await;
    // What is not acknowledged now comes again.
    broker.close_connections().await;
    drop(open);
    begun.wait_for_all(0..40).await;
    Books::settled(&broker, 0).await;
    stop(running).await;
    // For the number of those that ended nothing is acknowledged yet: a quarter of what may be sent ahead are more.
    assert!(begun.len() <= 45, "{} came again", begun.len() - 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_holds_its_thread_is_named() {
    let lines = Lines::listen();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let begun = Record::default();
    let record = begun.clone();
    let service = Service::new("holder").broker(Broker::memory()).publishes::<AnyEvent>();
    let running = within(
        "starting",
        service
            .subscribe("order", move |event: AnyEvent| {
                record.add(number(&event));
                // What no handler should do.
                let _ = gate.lock().unwrap().recv();
                async {}
            })
            .start(),
    )
    .await
    .unwrap();
    publish_numbers(&any(&running), "order", 0..1).await;
    begun.wait_for(1).await;
    lines.wait_for(&["WARN", "holder", "a handler holds its thread"]).await;
    let health = running.health();
    assert_eq!((health.status(), health.subscriptions[0].consuming), (Status::Unhealthy, false));
    assert!(health.problems()[0].contains("declare it `blocking`"), "{:?}", health.problems());
    open.send(()).unwrap();
    eventually("it is ready again", || async { running.health().is_ready() }).await;
    stop(running).await;
}

/// As many as make one of them the likely one to make the connection.
const HOLDERS: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

#[tokio::test(flavor = "multi_thread", worker_threads = 12)]
async fn handlers_that_hold_their_threads_keep_no_other_from_coming_back() {
    let _ = Lines::listen();
    let broker = TestBroker::new().await;
    let proxy = Proxy::to_url(&broker.url()).await;
    let (seen, begun, go) = (Record::default(), Record::default(), Arc::new(Semaphore::new(0)));
    let mut service = Service::new("held").publishes::<AnyEvent>().subscribe("free", note(&seen));
    let mut gates = Vec::new();
    for name in HOLDERS {
        let (open, gate) = mpsc::channel::<()>();
        gates.push(open);
        let (gate, begun, go) = (Arc::new(Mutex::new(gate)), begun.clone(), Arc::clone(&go));
        service = service.subscribe(name, move |_: AnyEvent| {
            let (gate, begun, go) = (Arc::clone(&gate), begun.clone(), Arc::clone(&go));
            async move {
                begun.add(name);
                go.acquire().await.unwrap().forget();
                begun.add(name);
                // What no handler should do.
                let _ = gate.lock().unwrap().recv();
            }
        });
    }
    let running = within("starting", service.broker(proxy.url(&broker.url())).start()).await.unwrap();
    for name in HOLDERS {
        publish_numbers(&any(&running), name, 0..1).await;
    }
    begun.wait_for(HOLDERS.len()).await;
    proxy.cut();
    // Whichever of them sees to the next connection, it does nothing more.
    let is_being_made = || running.health().consuming.unwrap().state == Lifecycle::Recovering;
    eventually("the next connection is being made", || async { is_being_made() }).await;
    go.add_permits(HOLDERS.len());
    begun.wait_for(2 * HOLDERS.len()).await;
    proxy.heal();
    publish_numbers(&any(&running), "free", 0..1).await;
    seen.wait_for(1).await;
    go.add_permits(100);
    drop(gates);
    eventually("it is ready again", || async { running.health().is_ready() }).await;
    Books::settled(&broker, 0).await;
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_ends_the_connection_is_not_tried_again_without_a_pause() {
    let _ = Lines::listen();
    let puppet = Puppet::default();
    // The first pause is shorter than this.
    let clock = HeldClock::holding_below(Duration::from_millis(100));
    let service = Service::new("sender").publishes::<AnyEvent>().clock(clock.clone()).broker(puppet.broker());
    let running = within("starting", service.start()).await.unwrap();
    puppet.opened(1).await;
    let text = "number of channels opened on node has reached the maximum".to_owned();
    puppet.refuse_topology(Some(TransportError::Refused { code: 530, text }));
    puppet.lose("an operator closed it");
    // The publishing task's, and then that of the connection.
    clock.begun(1).await;
    clock.release();
    clock.begun(2).await;
    assert_eq!(puppet.connections(), 1 + 1, "the first, and one that was refused");
    puppet.refuse_topology(None);
    clock.release();
    let publisher = any(&running);
    let publishing = tokio::spawn(async move { publish_numbers(&publisher, "order", 0..1).await });
    puppet.wait_for(1).await;
    puppet.confirm(1);
    within("publishing", publishing).await.unwrap();
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_waits_for_its_turn_is_not_taken_for_deaf() {
    let lines = Lines::listen();
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let alone = [("x-single-active-consumer", lapin::types::AMQPValue::Boolean(true))];
    client.declare_queue_with("theirs", &alone).await;
    let gate = Arc::new(Semaphore::new(0));
    let taken = || Subscription::to("order").queue("theirs").queue_type(QueueType::Existing).concurrency(1).prefetch(1);
    let (first, second, slow) = (Record::default(), Record::default(), Arc::clone(&gate));
    let record = first.clone();
    let slowly = taken().handler(move |event: AnyEvent| {
        record.add(number(&event));
        let slow = Arc::clone(&slow);
        async move { slow.acquire().await.unwrap().forget() }
    });
    let active = broker.start(Service::new("active").grace("100ms").publishes::<AnyEvent>().subscription(slowly)).await;
    let standby = broker.start(Service::new("standby").subscription(taken().handler(note(&second)))).await;
    publish_numbers(&any(&active), "order", 0..5).await;
    first.wait_for(1).await;
    let since = standby.health().subscriptions[0].since;
    lines.wait_for(&["WARN", "standby", "single active consumer", "theirs holds 4"]).await;
    // It is its turn when the other one has gone, with what that had in hand.
    within("the other one goes", active.shutdown()).await.unwrap_err();
    assert_each_once(second.wait_for(5).await, 0..5);
    assert_eq!(first.len(), 1);
    let shown = standby.health().subscriptions.remove(0);
    assert_eq!((shown.state, shown.since), (Lifecycle::Running, since), "its connection was not touched");
    stop(standby).await;
}
