//! What a broker has beside what a service plans: every kind of difference, made by hand, on RabbitMQ alone, whose policies
//! and management API the memory broker does not have.

use std::time::Duration;

use rabbitry::{
    AnyEvent, Comparison, Difference, Exchange, ExchangeKind, QueueType, Service, Subscription, SystemClock, Topology,
    TopologyMode,
    topology::{Argument, Arguments, Destination, Object, Queue},
    transport::TransportError,
};
use rabbitry_tests::{Header, Plan, TestBroker, eventually, is_4, stop, within};
use serde_json::{Value, json};

/// A service of all kinds of subscriptions.
fn stock() -> Service {
    let quiet = |_: AnyEvent| async {};
    Service::new("stock")
        .publishes::<AnyEvent>()
        .subscription(Subscription::to("order").and("order.*").name("orders").handler(quiet))
        .subscription(Subscription::to("bill").queue_type(QueueType::Classic).handler(quiet))
        .subscription(Subscription::to("price").broadcast().handler(quiet))
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

async fn by_amqp(broker: &TestBroker, service: Service) -> Comparison {
    within("comparing", service.broker(broker.url()).compare()).await.expect("the broker is compared")
}

async fn by_management(broker: &TestBroker, service: Service) -> Comparison {
    let service = service.broker(broker.url()).management_url(broker.node().management());
    within("comparing", service.compare()).await.expect("the broker is compared")
}

/// Compares until the broker's statistics, which are seconds late, have what a test waits for.
async fn until(
    broker: &TestBroker,
    service: impl Fn() -> Service,
    what: &str,
    holds: impl Fn(&Comparison) -> bool,
) -> Comparison {
    let last = std::cell::RefCell::new(Comparison::default());
    eventually(what, async || {
        let now = by_management(broker, service()).await;
        let held = holds(&now);
        last.replace(now);
        held
    })
    .await;
    last.into_inner()
}

fn missing(comparison: &Comparison) -> Vec<&str> {
    let names = comparison.differences.iter().filter_map(|difference| match difference {
        Difference::Missing { object: Object::Exchange(name) | Object::Queue(name) } => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}

/// The fields that differ: of what, which, ours, theirs.
fn unequal(comparison: &Comparison) -> Vec<(String, &str, Value, Value)> {
    let fields = comparison.differences.iter().filter_map(|difference| match difference {
        Difference::Unequal { object, field, ours, theirs } => {
            let value = |value: &Option<Value>| value.clone().unwrap_or_else(|| json!("not set"));
            Some((object.to_string(), field.as_str(), value(ours), value(theirs)))
        }
        _ => None,
    });
    fields.collect()
}

fn text(text: &str) -> Header {
    Header::LongString(text.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_has_the_plan_does_not_differ() {
    let broker = TestBroker::new().await;
    within("declaring", stock().broker(broker.url()).declare()).await.unwrap();
    let planned = Plan::on(&broker).await;
    let comparison = by_amqp(&broker, stock()).await;
    assert!(comparison.is_equal(), "{comparison}");
    // What AMQP does not tell is said.
    let unchecked = comparison.unchecked.join("\n");
    assert_eq!(comparison.unchecked.len(), 3, "{unchecked}");
    for part in ["bindings", "removed handler", "policies", "management_url"] {
        assert!(unchecked.contains(part), "no {part} in {unchecked}");
    }
    let comparison = until(&broker, stock, "statistics", |comparison| comparison.unchecked.is_empty()).await;
    assert!(comparison.is_equal(), "{comparison}");
    // While it runs, too: a broadcast's own queue is nobody's.
    let running = broker.start(stock()).await;
    for comparison in [by_amqp(&broker, stock()).await, by_management(&broker, stock()).await] {
        assert!(comparison.is_equal(), "{comparison}");
    }
    stop(running).await;
    assert_eq!(Plan::on(&broker).await, planned);
}

#[tokio::test(flavor = "multi_thread")]
async fn comparing_creates_nothing() {
    let broker = TestBroker::new().await;
    let plan = stock().topology().unwrap();
    let all = plan.exchanges.len() + plan.queues.len();
    let empty = Plan::on(&broker).await;
    for comparison in [by_amqp(&broker, stock()).await, by_management(&broker, stock()).await] {
        assert_eq!(missing(&comparison).len(), all, "{comparison}");
        assert_eq!(comparison.differences.len(), all, "{comparison}");
        assert_eq!(Plan::on(&broker).await, empty);
    }
    // With half of it there.
    within("declaring", stock().broker(broker.url()).declare()).await.unwrap();
    let client = broker.client().await;
    for queue in ["stock.orders", "stock.bill.dead", "rabbitry.v1.undeliverable", "rabbitry.v1.delay.00"] {
        client.delete_queue(queue).await;
    }
    for exchange in ["events", "by-header", "rabbitry.v1.dead"] {
        client.delete_exchange(exchange).await;
    }
    let half = Plan::on(&broker).await;
    for comparison in [by_amqp(&broker, stock()).await, by_management(&broker, stock()).await] {
        let mut names = missing(&comparison);
        names.sort_unstable();
        let expected = [
            "by-header",
            "events",
            "rabbitry.v1.dead",
            "rabbitry.v1.delay.00",
            "rabbitry.v1.undeliverable",
            "stock.bill.dead",
            "stock.orders",
        ];
        assert_eq!(names, expected, "{comparison}");
        assert_eq!(Plan::on(&broker).await, half);
    }
    assert_eq!(broker.connections().await, [""; 0]);
}

/// Between looking whether something is there and comparing it somebody may delete it. What compares cannot create it.
#[tokio::test(flavor = "multi_thread")]
async fn what_asks_how_something_is_cannot_create_it() {
    let broker = TestBroker::new().await;
    let empty = Plan::on(&broker).await;
    let transport = rabbitry::Broker::amqp(broker.url()).transport().unwrap();
    let clock = std::sync::Arc::new(SystemClock) as std::sync::Arc<dyn rabbitry::Clock>;
    let connection = transport.connect("asking", &clock).await.unwrap();
    let arguments = Arguments::from([("x-max-age".to_owned(), Argument::from("1s"))]);
    for kind in [QueueType::Quorum, QueueType::Classic] {
        let mut queue = Topology::default();
        queue.queues.push(Queue::named("a.b", kind, arguments.clone()));
        let refused = connection.declare(&queue, TopologyMode::Declare).await;
        assert!(matches!(refused, Err(TransportError::Refused { code: 406, .. })), "{refused:?}");
    }
    for kind in [ExchangeKind::Topic, ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Headers] {
        let mut exchange = Exchange::named("a", kind);
        exchange.joined = false;
        exchange.arguments.insert("alternate-exchange".to_owned(), Argument::Integer(1));
        let mut alone = Topology::default();
        alone.exchanges.push(exchange);
        let refused = connection.declare(&alone, TopologyMode::Declare).await;
        assert!(matches!(refused, Err(TransportError::Refused { code: 406, .. })), "{refused:?}");
    }
    connection.close().await;
    assert_eq!(Plan::on(&broker).await, empty);
}

/// A broker that has each thing of the plan in another way.
async fn made_otherwise() -> TestBroker {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    client.declare_exchange("events", lapin::ExchangeKind::Direct).await;
    client.declare_exchange("rabbitry.v1.dead", lapin::ExchangeKind::Direct).await;
    let work = [
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", Header::LongLongInt(3)),
        ("x-dead-letter-exchange", text("rabbitry.v1.dead")),
        ("x-dead-letter-routing-key", text("stock.orders")),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
        ("x-max-length", Header::LongLongInt(1000)),
        ("x-made-by", text("hand")),
    ];
    client.declare_queue_with("stock.orders", &work).await;
    client.declare_queue_with("stock.bill.dead", &[]).await;
    client.close().await;
    broker
}

#[tokio::test(flavor = "multi_thread")]
async fn by_management_all_that_is_unequal_is_found() {
    let broker = made_otherwise().await;
    let comparison = by_management(&broker, stock()).await;
    let not_set = json!("not set");
    let expected = [
        ("exchange `events`", "type", json!("topic"), json!("direct")),
        ("exchange `rabbitry.v1.dead`", "alternate-exchange", json!("rabbitry.v1.undeliverable"), not_set.clone()),
        ("queue `stock.orders`", "x-delivery-limit", json!(20), json!(3)),
        ("queue `stock.orders`", "x-max-length", not_set.clone(), json!(1000)),
        ("queue `stock.bill.dead`", "type", json!("quorum"), json!("classic")),
        ("queue `stock.bill.dead`", "x-delivery-limit", json!(2_147_483_647), not_set.clone()),
        // Nothing acts on it.
        ("queue `stock.orders`", "x-made-by", not_set, json!("hand")),
    ];
    let expected = expected.map(|(object, field, ours, theirs)| (object.to_owned(), field, ours, theirs));
    assert_eq!(unequal(&comparison), expected, "{comparison}");
    let breaking = comparison.breaking().filter(|it| matches!(it, Difference::Unequal { .. })).count();
    assert_eq!(breaking, expected.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_amqp_the_first_thing_that_is_unequal_is_found() {
    let broker = made_otherwise().await;
    let before = Plan::on(&broker).await;
    let comparison = by_amqp(&broker, stock()).await;
    let expected = [
        ("exchange `events`", "type", json!("topic"), json!("direct")),
        ("exchange `rabbitry.v1.dead`", "alternate-exchange", json!("rabbitry.v1.undeliverable"), json!("not set")),
        ("queue `stock.bill.dead`", "type", json!("quorum"), json!("classic")),
        ("queue `stock.orders`", "x-max-length", json!("not set"), json!(1000)),
    ];
    let found = unequal(&comparison);
    for (object, field, ours, theirs) in expected {
        assert!(found.contains(&(object.to_owned(), field, ours, theirs)), "no {field} of {object}: {comparison}");
    }
    assert_eq!(found.len(), 4, "{comparison}");
    // More may differ of those whose first field does.
    for beyond in ["exchange `events` beyond its type", "queue `stock.orders` beyond its x-max-length"] {
        assert!(comparison.unchecked.iter().any(|unchecked| unchecked.contains(beyond)), "{comparison}");
    }
    // A queue of another connection's own, which goes with it.
    let client = broker.client().await;
    let owner = lapin::Connection::connect(&broker.url(), lapin::ConnectionProperties::default()).await.unwrap();
    let channel = owner.create_channel().await.unwrap();
    let options = lapin::options::QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare("stock.legacy".into(), options, Default::default()).await.unwrap();
    let comparison = by_amqp(&broker, stock()).await;
    let exclusive = ("queue `stock.legacy`".to_owned(), "exclusive", json!(false), json!(true));
    assert!(unequal(&comparison).contains(&exclusive), "{comparison}");
    owner.close(200, "OK".into()).await.unwrap();
    client.close().await;
    assert_eq!(Plan::on(&broker).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_know_is_unchecked() {
    let broker = TestBroker::new().await;
    within("declaring", stock().broker(broker.url()).declare()).await.unwrap();
    let user = format!("{}-reader", broker.vhost());
    broker.add_user(&user, "^$", "^$", "^$").await;
    let service = stock().broker(broker.url_of(&user));
    let comparison = within("comparing", service.compare()).await.unwrap();
    assert!(comparison.is_equal(), "{comparison}");
    for object in ["exchange `events`", "queue `stock.orders`", "queue `stock.bill.dead`"] {
        let said = format!("type and arguments of {object}: the user may not configure it");
        assert!(comparison.unchecked.contains(&said), "{comparison}");
    }
    // By the management API nothing is hidden from a user with an empty permission.
    broker.tag_user(&user, "management").await;
    let service = || stock().broker(broker.url_of(&user)).management_url(broker.node().management());
    eventually("all is seen", async || {
        let comparison = service().compare().await.unwrap();
        assert!(comparison.is_equal(), "{comparison}");
        comparison.unchecked.is_empty()
    })
    .await;
    broker.remove_user(&user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_and_what_is_stale_of_the_bindings() {
    let broker = TestBroker::new().await;
    within("declaring", stock().broker(broker.url()).declare()).await.unwrap();
    let client = broker.client().await;
    // Renamed from it, and one by headers.
    client.bind("stock.orders", "events", "order_created").await;
    let by_header = [("x-match", text("all")), ("kind", text("order")), ("n", Header::LongInt(3))];
    client.bind_with("stock.orders", "by-header", "", &by_header).await;
    // A ladder that the service had before.
    client.declare_exchange("team.delay.out", lapin::ExchangeKind::Topic).await;
    let retries = format!("{}queue.stock.orders", "*.".repeat(28));
    client.bind("stock.orders", "team.delay.out", &retries).await;
    client.unbind("stock.orders", "events", "order.*").await;
    let header = [("x-match", text("any")), ("kind", text("legacy")), ("urgent", Header::Boolean(true))];
    client.unbind_with("stock.legacy", "by-header", "", &header).await;
    let events_out = format!("{}exchange.events", "*.".repeat(28));
    client.unbind_exchange("events", "rabbitry.v1.delay.out", &events_out).await;
    // Another team's, on the same exchange.
    client.declare_queue("others.orders", "events", "order").await;
    client.declare_queue("stocks.orders", "events", "order").await;

    let comparison = by_management(&broker, stock()).await;
    let (mut absent, mut stale) = (Vec::new(), Vec::new());
    for difference in &comparison.differences {
        match difference {
            Difference::MissingBinding { binding } => absent.push(format!(
                "{} {} {}",
                binding.source,
                binding.destination.name(),
                binding.routing_key.trim_start_matches("*.")
            )),
            Difference::StaleBinding { binding, retries } => {
                assert_eq!(binding.destination, Destination::Queue("stock.orders".to_owned()));
                let key = binding.routing_key.trim_start_matches("*.");
                stale.push(format!("{} {key} {:?} {retries}", binding.source, binding.arguments));
            }
            other => panic!("nothing else differs: {other}"),
        }
    }
    absent.sort();
    stale.sort();
    let missing =
        ["by-header stock.legacy ", "events stock.orders order.*", "rabbitry.v1.delay.out events exchange.events"];
    assert_eq!(absent, missing);
    let by_header = r#"{"kind": Text("order"), "n": Integer(3), "x-match": Text("all")}"#;
    let left = [
        format!("by-header  {by_header} false"),
        "events order_created {} false".to_owned(),
        "team.delay.out queue.stock.orders {} true".to_owned(),
    ];
    assert_eq!(stale, left);
    assert_eq!(comparison.breaking().count(), 3);
    client.close().await;
}

/// More than fit on a page of the management API's answer.
const LEFT: usize = 130;

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_removed_handlers_left() {
    let broker = TestBroker::new().await;
    within("declaring", stock().broker(broker.url()).declare()).await.unwrap();
    let client = broker.client().await;
    for number in 0..LEFT {
        client.declare_queue(&format!("stock.old-{number}"), "events", "order_created").await;
    }
    client.publish_all("events", "order_created", (0..7).map(|_| Default::default())).await;
    // Others' are nobody's business.
    client.declare_queue("stocks.old", "events", "order").await;
    client.declare_queue("stock-eu.old", "events", "order").await;
    client.declare_queue("stock", "events", "order").await;
    let counted = |comparison: &Comparison| {
        comparison.differences.iter().all(|it| matches!(it, Difference::StaleQueue { messages: Some(7), .. }))
    };
    let comparison = until(&broker, stock, "the messages are counted", counted).await;
    assert_eq!(comparison.differences.len(), LEFT, "{comparison}");
    for difference in &comparison.differences {
        let Difference::StaleQueue { queue, consumers, bindings, .. } = difference else { panic!("{difference}") };
        assert!(queue.starts_with("stock.old-") && *consumers == 0, "{difference}");
        let [binding] = &bindings[..] else { panic!("{difference}") };
        assert_eq!((binding.source.as_str(), binding.routing_key.as_str()), ("events", "order_created"));
    }
    assert_eq!(comparison.breaking().count(), 0);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_in_the_way_are_named() {
    let broker = TestBroker::new().await;
    within("declaring", stock().broker(broker.url()).declare()).await.unwrap();
    broker.set_policy("short", r"^stock\.orders", &json!({ "max-length": 50, "overflow": "drop-head" })).await;
    broker.set_operator_policy("shorter", r"^stock\.orders$", &json!({ "max-length": 10, "message-ttl": 5000 })).await;
    // Another team's.
    broker.set_policy("theirs", "^others", &json!({ "expires": 1000 })).await;
    let told = |comparison: &Comparison| -> Vec<String> {
        let policies = comparison.differences.iter().filter_map(|difference| match difference {
            Difference::Policy(policy) => Some(policy),
            _ => None,
        });
        let line = policies.map(|it| {
            let operator = if it.operator { "operator " } else { "" };
            format!("{}: {operator}{} {}={} {}", it.object, it.policy, it.key, it.value, it.breaks)
        });
        let mut lines: Vec<String> = line.collect();
        lines.sort();
        lines
    };
    let expected = [
        "queue `stock.orders.dead`: short max-length=50 true",
        "queue `stock.orders`: operator shorter max-length=10 false",
        "queue `stock.orders`: operator shorter message-ttl=5000 false",
        r#"queue `stock.orders`: short overflow="drop-head" true"#,
    ];
    let comparison = until(&broker, stock, "the policies", |now| told(now).len() == expected.len()).await;
    assert_eq!(told(&comparison), expected);
    let text = comparison.to_string();
    for part in
        ["operator policy `shorter` sets max-length to `10`", "take `max-length` out of operator policy `shorter`"]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // A time that a handler may take beyond what RabbitMQ waits, which 3.10 knows no policy for.
    if is_4() {
        broker.set_policy("impatient", r"^stock\.bill$", &json!({ "consumer-timeout": 60_000 })).await;
        let impatient = "queue `stock.bill`: impatient consumer-timeout=60000 false";
        until(&broker, stock, "the timeout", |now| told(now).iter().any(|line| line == impatient)).await;
        let patient = || {
            Service::new("stock").subscription(
                Subscription::to("bill")
                    .timeout(Duration::from_secs(59))
                    .queue_type(QueueType::Classic)
                    .handler(|_: AnyEvent| async {}),
            )
        };
        let comparison = by_management(&broker, patient()).await;
        assert!(!told(&comparison).iter().any(|line| line.contains("consumer-timeout")), "{comparison}");
    }
}
