//! What an operator's policies do to a running service, what it says of them, and who is not touched.

use std::{sync::Arc, time::Duration};

use rabbitry::{
    AnyEvent, Attempt, HandlerError, PublishError, RetryPolicy, Running, Service, Status, Subscription, TopologyMode,
    topology::{Object, PolicyInTheWay},
};
use rabbitry_tests::{
    Books, HeldClock, Lines, Node, Record, TestBroker, any, assert_all, eventually, is_4, note, number, numbered,
    publish_numbers, stop, within,
};
use serde_json::json;
use tokio::sync::Semaphore;

/// How often a service looks after policies.
const EVERY: Duration = Duration::from_secs(60);

/// All of this target collect the log: whoever is first takes it for all.
async fn test_broker() -> TestBroker {
    let _ = Lines::listen();
    TestBroker::new().await
}

/// A service whose handler waits at a gate, one event at a time.
fn gated(name: &str, seen: &Record<u64>, gate: &Arc<Semaphore>) -> Service {
    let (seen, gate) = (seen.clone(), Arc::clone(gate));
    let handler = move |event: AnyEvent| {
        let (seen, gate) = (seen.clone(), Arc::clone(&gate));
        async move {
            gate.acquire().await.expect("the gate stays").forget();
            seen.add(number(&event));
        }
    };
    // Not the minute that clocks of this file hold.
    let subscription = Subscription::to("order").concurrency(1).timeout(Duration::from_secs(600)).handler(handler);
    Service::new(name).publishes::<AnyEvent>().subscription(subscription)
}

/// Has a service look once more, and waits until it has.
async fn look(clock: &HeldClock) {
    let begun = clock.all_begun();
    clock.release();
    clock.begun(begun + 1).await;
}

/// Has a service look again until it has seen what the broker's statistics are late to show.
async fn look_until(clock: &HeldClock, what: &str, seen: impl Fn() -> bool) {
    eventually(what, async || {
        look(clock).await;
        seen()
    })
    .await;
}

/// Publishes orders one after the other until one is refused; how many were taken.
async fn fill(running: &Running) -> u64 {
    for number in 0..50 {
        match within("publishing", any(running).publish(numbered("order", number))).await {
            Ok(_) => {}
            Err(PublishError::Nacked { .. }) => return number,
            Err(error) => panic!("another error: {error:?}"),
        }
    }
    panic!("the queue takes whatever comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_limits_a_queue_is_told_of_once() {
    let lines = Lines::listen();
    let broker = test_broker().await;
    let (seen, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let clock = HeldClock::holding(EVERY);
    let service = gated("limited", &seen, &gate).clock(clock.clone()).management_url(broker.node().management());
    let running = broker.start(service).await;
    clock.begun(1).await;
    assert_eq!((running.health().policies, running.health().full), (vec![], vec![]));
    assert_eq!(running.health().status(), Status::Healthy);

    broker.set_operator_policy("small", r"^limited\.order$", &json!({ "max-length": 3 })).await;
    look_until(&clock, "the policy is seen", || !running.health().policies.is_empty()).await;
    let health = running.health();
    let [policy] = &health.policies[..] else { panic!("{health:?}") };
    let PolicyInTheWay { object, policy, operator, key, value, effect, .. } = policy;
    assert_eq!(*object, Object::Queue("limited.order".to_owned()));
    assert_eq!((policy.as_str(), *operator, key.as_str(), value), ("small", true, "max-length", &json!(3)));
    assert!(effect.contains("nack") && effect.contains("32 retries"), "{effect}");
    assert_eq!((health.status(), health.is_ready()), (Status::Degraded, true));

    let taken = fill(&running).await;
    look_until(&clock, "the queue is seen to be full", || running.health().full == ["limited.order"]).await;
    assert!(running.health().problems().iter().any(|problem| problem.contains("queue limited.order is full")));
    // The same again, some times.
    for _ in 0..3 {
        look(&clock).await;
    }
    gate.add_permits(1000);
    assert_all(&seen.wait_for(usize::try_from(taken).unwrap()).await, 0..taken);
    broker.node().ctl(&["-q", "clear_operator_policy", "-p", broker.vhost(), "small"]).await;
    look_until(&clock, "nothing is in the way", || running.health().status() == Status::Healthy).await;
    assert_eq!((running.health().policies, running.health().full), (vec![], vec![]));

    let told = |parts: &[&str]| lines.with(&[parts, &["limited"]].concat()).len();
    assert_eq!(
        told(&["WARN", "a policy is in the way", "policy=\"small\"", "max-length", "operator policy `small`"]),
        1
    );
    assert_eq!(told(&["WARN", "a work queue is full", "queue=\"limited.order\""]), 1);
    assert_eq!(told(&["INFO", "a policy is no longer in the way", "policy=\"small\""]), 1);
    assert_eq!(told(&["INFO", "a work queue is no longer full"]), 1);
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_management_api_that_goes_is_told_of_once() {
    let lines = Lines::listen();
    let node = Node::private("a_management_api_that_goes", &[]).await;
    let broker = TestBroker::on(&node).await;
    let clock = HeldClock::holding(EVERY);
    let service = || {
        gated("unseen", &Record::default(), &Arc::new(Semaphore::new(0)))
            .topology_mode(TopologyMode::Verify)
            .management_url(node.management())
            .clock(clock.clone())
    };
    within("declaring", service().broker(broker.url()).declare()).await.unwrap();
    node.ctl(&["eval", "application:stop(rabbitmq_management)."]).await;
    // What it would verify is said not to be.
    let running = broker.start(service()).await;
    assert_eq!(lines.with(&["WARN", "unseen", "unchecked", "rabbitmq-plugins enable"]).len(), 1);
    clock.begun(1).await;
    for _ in 0..3 {
        look(&clock).await;
    }
    let told =
        || lines.with(&["WARN", "unseen", "the management API cannot be read, so", "nothing listens there"]).len();
    assert_eq!(told(), 1);
    assert!(running.health().is_ready());
    broker.set_policy("small", r"^unseen\.order$", &json!({ "max-length": 3 })).await;
    node.ctl(&["eval", "application:start(rabbitmq_management)."]).await;
    look_until(&clock, "the policy is seen", || !running.health().policies.is_empty()).await;
    assert_eq!(lines.with(&["INFO", "unseen", "the management API can be read again"]).len(), 1);
    node.ctl(&["eval", "application:stop(rabbitmq_management)."]).await;
    look(&clock).await;
    // What was seen last stays.
    assert_eq!((told(), running.health().policies.len()), (2, 1));
    // It ends with the service, whatever it waits for.
    stop(running).await;
    clock.ended(clock.all_begun() - 1).await;
}

/// A handler of bills that fails the first times it gets one.
fn fails_at_first(name: &str, attempts: &Record<u64>) -> Service {
    let attempts = attempts.clone();
    let handler = move |_: AnyEvent, attempt: Attempt| {
        attempts.add(attempt.number.into());
        std::future::ready(if attempt.number < 3 { Err(HandlerError::from("not yet")) } else { Ok(()) })
    };
    let second = Duration::from_secs(1);
    let policy = RetryPolicy::default().attempts(4).immediate(0).first(second).factor(1.0).jitter(0.0);
    Service::new(name).subscription(Subscription::to("bill").retry(policy).handler(handler))
}

/// What the docs say of a work queue without room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_work_queue_refuses_its_events_and_stops_a_level_of_the_ladder() {
    let _ = Lines::listen();
    let node = Node::private("a_full_work_queue", &[]).await;
    // How long the broker waits before it tries again to move a message on: 3 minutes are too long for a test.
    node.ctl(&["eval", "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 5000)."]).await;
    let broker = TestBroker::on(&node).await;
    broker.set_operator_policy("small", r"^stock\.order$", &json!({ "max-length": 3 })).await;
    let (seen, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let (other, shared, own) = (Record::default(), Record::default(), Record::default());
    let stock = broker.start(gated("stock", &seen, &gate)).await;
    let audit = broker.start(Service::new("audit").subscribe("order", note(&other))).await;
    let sharing = broker.start(fails_at_first("sharing", &shared)).await;
    let apart = broker.start(fails_at_first("apart", &own).delays("apart.delay")).await;

    // Publishers get an error of their own, though the other subscriber has the event, each time that it was tried.
    let taken = fill(&stock).await;
    let heard = other.wait_for(usize::try_from(taken).unwrap() + 2).await;
    assert_all(&heard, 0..taken + 1);
    assert!(heard.iter().filter(|number| **number == taken).count() > 1, "{heard:?}");

    // More retries for it than a level moves on at a time.
    let client = broker.client().await;
    let key = format!("{}1.queue.stock.order", "0.".repeat(27));
    let named = || lapin::BasicProperties::default().with_type("order".into());
    let retries = (100..160).map(|number: u64| (named(), number.to_string().into_bytes()));
    client.publish_all("rabbitry.v1.delay.00", &key, retries).await;
    publish_numbers(&any(&stock), "bill", 0..1).await;
    // A team with a ladder of its own isn't touched; who shares the ladder waits behind them.
    assert_eq!(own.wait_for(3).await, [1, 2, 3]);
    assert_eq!(shared.all(), [1]);
    // Other queues take events as before.
    publish_numbers(&any(&stock), "bill", 1..2).await;
    assert_eq!(own.wait_for(6).await.len(), 6);
    assert_eq!(shared.all(), [1, 1]);

    // When there is room again, all comes, and nothing was lost.
    gate.add_permits(1000);
    broker.node().ctl(&["-q", "clear_operator_policy", "-p", broker.vhost(), "small"]).await;
    let mut attempts = shared.wait_for(6).await;
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 1, 2, 2, 3, 3]);
    eventually("the retries are back", async || {
        let seen = seen.all();
        (0..taken).chain(100..160).all(|number| seen.contains(&number))
    })
    .await;
    for service in [stock, audit, sharing, apart] {
        stop(service).await;
    }
    client.close().await;
    Books::settled(&broker, 0).await;
}

/// A policy's overflow wins over the queue's own: what comes is not refused, but pushes out what is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_s_overflow_wins_over_the_queue_s_own() {
    let broker = test_broker().await;
    broker.set_policy("drops", r"^pushed\.order$", &json!({ "max-length": 3, "overflow": "drop-head" })).await;
    let (seen, gate) = (Record::default(), Arc::new(Semaphore::new(0)));
    let clock = HeldClock::holding(EVERY);
    let service = gated("pushed", &seen, &gate).clock(clock.clone()).management_url(broker.node().management());
    let running = broker.start(service).await;
    publish_numbers(&any(&running), "order", 0..20).await;
    // They go to the dead letters unhandled.
    let client = broker.client().await;
    eventually("the oldest are dead", async || client.count("pushed.order.dead").await > Some(10)).await;
    let reason = client.take("pushed.order.dead").await.expect("there is one").text("x-first-death-reason");
    assert_eq!(reason, "maxlen");
    clock.begun(1).await;
    look_until(&clock, "both are seen", || running.health().policies.len() == 2).await;
    let health = running.health();
    let breaks: Vec<(&str, bool)> = health.policies.iter().map(|it| (it.key.as_str(), it.breaks)).collect();
    assert_eq!(breaks, [("max-length", false), ("overflow", true)]);
    // It is never full.
    assert_eq!(health.full, [""; 0]);
    gate.add_permits(1000);
    client.close().await;
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_may_not_take_longer_than_the_broker_waits() {
    let lines = Lines::listen();
    let broker = test_broker().await;
    let slow = |name: &str, minutes: u64| {
        let timeout = Duration::from_secs(minutes * 60);
        Service::new(name).subscription(Subscription::to("order").timeout(timeout).handler(|_: AnyEvent| async {}))
    };
    let told = |name: &str| lines.with(&["WARN", "may run longer than RabbitMQ waits", &format!("{name}.order")]).len();
    // By RabbitMQ's own default, where nothing is known of this broker's.
    for (name, minutes, times) in [("patient", 30, 1), ("quick", 29, 0)] {
        stop(broker.start(slow(name, minutes)).await).await;
        assert_eq!(told(name), times, "{name}");
    }
    // And where the management API says nothing else. Each look would tell.
    let clock = HeldClock::holding(EVERY);
    let asking = |name: &str| slow(name, 30).clock(clock.clone()).management_url(broker.node().management());
    let running = broker.start(asking("asking")).await;
    clock.begun(1).await;
    look(&clock).await;
    assert_eq!(told("asking"), 1);
    stop(running).await;
    if !is_4() {
        // 3.10 knows neither policy nor argument.
        return;
    }
    let clock = HeldClock::holding(EVERY);
    let asking = |name: &str| slow(name, 30).clock(clock.clone()).management_url(broker.node().management());
    broker.set_policy("long", r"^allowed\.order$", &json!({ "consumer-timeout": 7_200_000 })).await;
    within("declaring", asking("allowed").broker(broker.url()).declare()).await.unwrap();
    let compare = || asking("allowed").broker(broker.url()).compare();
    // The statistics come late, and until then nobody knows of the policy.
    eventually("the policy is seen", async || within("comparing", compare()).await.unwrap().unchecked.is_empty()).await;
    let running = broker.start(asking("allowed")).await;
    clock.begun(1).await;
    assert_eq!((told("allowed"), running.health().policies), (0, vec![]));
    broker.set_policy("long", r"^allowed\.order$", &json!({ "consumer-timeout": 60_000 })).await;
    look_until(&clock, "the policy is seen", || running.health().policies.len() == 1).await;
    assert_eq!(running.health().policies[0].key, "consumer-timeout");
    stop(running).await;
}
