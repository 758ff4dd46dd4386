//! What a service makes on a broker, finds there, and says when it may not.

use rabbitry::{
    AnyEvent, Exchange, ExchangeKind, QueueType, RetryPolicy, Service, StartError, Subscription, TopologyMode,
};
use rabbitry_tests::{
    Books, Header, Plan, Record, TestBroker, assert_each_once, note, numbered, publish_numbers, stop, within,
};

/// A service of all kinds of subscriptions but broadcasts, whose queues nobody can list.
fn shop() -> Service {
    let quiet = |_: AnyEvent| async {};
    Service::new("shop")
        .publishes::<AnyEvent>()
        .subscription(Subscription::to("order").and("order.*").name("orders").handler(quiet))
        .subscription(Subscription::to("bill").queue("billing.in").queue_type(QueueType::Classic).handler(quiet))
        .subscription(
            Subscription::to("legacy")
                .exchange(Exchange::named("by-header", ExchangeKind::Headers))
                .binding_key("")
                .binding_argument("x-match", "any")
                .binding_argument("kind", "legacy")
                .binding_argument("urgent", true)
                .handler(quiet),
        )
}

async fn makes_exactly_its_plan(service: impl Fn() -> Service) {
    let broker = TestBroker::new().await;
    let planned = Plan::of(&service().topology().unwrap());
    let running = broker.start(service()).await;
    assert_eq!(Plan::on(&broker).await, planned);
    stop(running).await;
    // A second start, and one by another way, change nothing.
    within("declaring", service().broker(broker.url()).declare()).await.unwrap();
    stop(broker.start(service()).await).await;
    assert_eq!(Plan::on(&broker).await, planned);
    Books::read(&broker).await.balance(0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_makes_exactly_its_plan() {
    makes_exactly_its_plan(shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_long_schedules_makes_exactly_its_plan() {
    let service = || shop().schedules_up_to("3000d");
    assert_eq!(service().topology().unwrap().queues.iter().filter(|queue| queue.name.contains(".delay.")).count(), 29);
    makes_exactly_its_plan(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_keeps_events_until_the_first_start() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let subscriber = || Service::new("stock").broker(broker.url()).subscribe("order", note(&seen));
    within("declaring", subscriber().declare()).await.unwrap();
    assert_eq!(broker.connections().await, [""; 0]);
    let sender = broker.start(Service::new("sender").publishes::<AnyEvent>()).await;
    publish_numbers(&sender.publisher().unwrap(), "order", 0..20).await;
    assert!(seen.is_empty());
    let running = broker.start(subscriber()).await;
    assert_each_once(seen.wait_for(20).await, 0..20);
    stop(running).await;
    stop(sender).await;
    Books::read(&broker).await.balance(20, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_policies_never_differ_from_what_is_there() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let with = |policy: RetryPolicy| {
        Service::new("stock").subscription(Subscription::to("order").retry(policy).handler(note(&seen)))
    };
    let policy = RetryPolicy::default();
    for policy in [
        policy,
        policy.attempts(1),
        policy.attempts(20).max(std::time::Duration::from_secs(1 << 20)),
        policy.attempts(3).factor(1.0),
    ] {
        stop(broker.start(with(policy)).await).await;
    }
    let running = broker.start(with(policy).publishes::<AnyEvent>()).await;
    publish_numbers(&running.publisher().unwrap(), "order", 0..1).await;
    seen.wait_for(1).await;
    stop(running).await;
    Books::read(&broker).await.balance(1, 1);
}

/// The code and the text of a start that the broker refuses.
async fn refused(service: Service, url: String) -> (u16, String) {
    match within("being refused", service.broker(&url).start()).await {
        Err(error @ StartError::Refused { code, .. }) => {
            let text = format!("{error} {error:?}");
            let password = url.split(['@', ':']).nth(2).unwrap_or_default();
            assert!(!text.contains(&format!(":{password}@")), "{text}");
            (code, error.to_string())
        }
        Err(error) => panic!("another error: {error:?}"),
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_other_arguments_is_an_error_that_says_which() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let text = |text: &str| Header::LongString(text.into());
    let arguments = [
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", Header::LongLongInt(3)),
        ("x-dead-letter-exchange", text("rabbitry.v1.dead")),
        ("x-dead-letter-routing-key", text("stock.order")),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ];
    client.declare_queue_with("stock.order", &arguments).await;
    let stock = || Service::new("stock").subscribe("order", |_: AnyEvent| async {});
    let (code, text) = refused(stock(), broker.url()).await;
    assert_eq!(code, 406);
    for part in
        ["queue `stock.order`", "x-delivery-limit", "'20'", "'3'", "other arguments", "topology migrate stock.order"]
    {
        assert!(text.contains(part), "no {part} in: {text}");
    }
    // Another type is one, too.
    client.delete_queue("stock.order").await;
    client.declare_queue_with("stock.order", &[]).await;
    let (code, text) = refused(stock(), broker.url()).await;
    assert_eq!(code, 406);
    // Which argument it names first is the broker's choice.
    assert!(text.contains("queue `stock.order`") && text.contains("inequivalent arg 'x-"), "{text}");
    // Taken as it is, it is none.
    let taken = Subscription::to("order").queue("stock.order").queue_type(QueueType::Existing);
    stop(broker.start(Service::new("stock").subscription(taken.handler(|_: AnyEvent| async {}))).await).await;
    Books::read(&broker).await.balance(0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_configure_verifies() {
    let broker = TestBroker::new().await;
    let user = format!("{}-reader", broker.vhost());
    broker.add_user(&user, "^$", ".*", ".*").await;
    let seen = Record::default();
    let stock = |mode| {
        let service = Service::new("stock").publishes::<AnyEvent>().subscribe("order", note(&seen));
        service.topology_mode(mode).broker(broker.url_of(&user))
    };
    let (code, text) = refused(stock(TopologyMode::Declare), broker.url_of(&user)).await;
    assert_eq!(code, 403, "{text}");
    assert!(text.contains("may not configure it") && text.contains("TopologyMode::Verify"), "{text}");
    let (code, text) = refused(stock(TopologyMode::Verify), broker.url_of(&user)).await;
    assert_eq!(code, 404, "{text}");
    assert!(text.contains("exchange `events`") && text.contains("TopologyMode::Declare"), "{text}");

    within("declaring", stock(TopologyMode::Declare).broker(broker.url()).declare()).await.unwrap();
    for mode in [TopologyMode::Verify, TopologyMode::Assume] {
        let running = within("starting", stock(mode).start()).await.unwrap();
        running.publisher().unwrap().publish(numbered("order", 1)).await.unwrap();
        seen.wait_for(if mode == TopologyMode::Verify { 1 } else { 2 }).await;
        stop(running).await;
    }

    let client = broker.client().await;
    client.delete_queue("stock.order.dead").await;
    let (code, text) = refused(stock(TopologyMode::Verify), broker.url_of(&user)).await;
    assert_eq!(code, 404, "{text}");
    assert!(text.contains("queue `stock.order.dead`"), "{text}");
    broker.remove_user(&user).await;
    Books::read(&broker).await.balance(2, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_refuses_is_said_at_once() {
    let broker = TestBroker::new().await;
    let user = format!("{}-s3cret", broker.vhost());
    let service = || Service::new("stock").subscribe("order", |_: AnyEvent| async {});
    // Nobody of that name.
    let (code, text) = refused(service(), broker.url_of(&user)).await;
    assert_eq!(code, 403);
    assert!(text.contains("service `stock`") && text.contains("user name or password"), "{text}");
    // May do nothing here.
    broker.add_user(&user, "^$", "^$", "^$").await;
    let (code, text) = refused(service(), broker.url_of(&user)).await;
    assert_eq!(code, 403);
    assert!(text.contains("exchange `events`") && text.contains("permission"), "{text}");
    // No such virtual host.
    let (code, text) = refused(service(), broker.url().replace("test-", "no-")).await;
    assert_eq!(code, 530);
    assert!(text.contains("no-") && text.contains("virtual host"), "{text}");
    broker.remove_user(&user).await;
    Books::read(&broker).await.balance(0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_shown() {
    let service = || Service::new("stock").broker("amqp://me:s3cret@localhost:1/x").publishes::<AnyEvent>();
    let mut shown = format!("{:?}", service());
    let built = service().build().unwrap();
    shown += &format!("{built:?} {:?} {}", built.topology(), built.topology());
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("amqp://me:***@localhost:1/x"), "{shown}");

    let broker = TestBroker::new().await;
    let user = format!("{}-s3cret", broker.vhost());
    broker.add_user(&user, ".*", ".*", ".*").await;
    let running = broker.start(Service::new("stock").broker("").publishes::<AnyEvent>()).await;
    assert!(running.health().publishing.is_up());
    let shown = format!("{running:?} {:?} {:?}", running.health(), running.publisher::<AnyEvent>().unwrap());
    assert!(!shown.contains("guest"), "{shown}");
    stop(running).await;
    broker.remove_user(&user).await;
}
