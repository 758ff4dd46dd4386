//! Everything that is wrong with a service before any I/O, and what the error says to do.

use std::time::Duration;

use rabbitry::{
    AnyEvent, Exchange, ExchangeKind, HandlerError, QueueType, RetryPolicy, Service, State, Subscription,
    SubscriptionOptions, event, subscriptions,
};

#[event("order_created")]
struct OrderCreated {
    order_id: i64,
}

async fn audit(_: AnyEvent) {}

fn service() -> Service {
    Service::new("shop").broker("amqp://localhost/x").publishes::<AnyEvent>()
}

fn with(options: SubscriptionOptions) -> Service {
    service().subscription(options.handler(audit))
}

/// The error's text; `kind` names its variant.
fn error(service: Service, kind: &str) -> String {
    let error = service.build().unwrap_err();
    let variant = format!("{error:?}");
    assert!(variant.starts_with(kind), "not {kind}: {variant}");
    error.to_string()
}

#[track_caller]
fn check(service: Service, kind: &str, parts: &[&str]) {
    let text = error(service, kind);
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn a_service_has_one_word_as_its_name() {
    check(Service::new("a.b").publishes::<AnyEvent>(), "ServiceName", &["`a.b` has a dot", "one word"]);
    check(Service::new("").publishes::<AnyEvent>(), "ServiceName", &["``"]);
    check(Service::new("Shop").publishes::<AnyEvent>(), "ServiceName", &["`Shop`", "a-z"]);
    check(Service::new("rabbitry").publishes::<AnyEvent>(), "ServiceName", &["choose another"]);
}

#[test]
fn settings_make_sense() {
    check(service().body_limit(0), "Setting", &["service `shop`", "`body_limit` is 0"]);
    check(service().publish_window(0), "Setting", &["`publish_window` is 0", "say 1 to"]);
    check(service().publish_window(1 << 20), "Setting", &["`publish_window`", "say 1 to"]);
    check(service().grace("soon"), "Setting", &["`grace`", "`soon` is not a length of time", "\"5m\""]);
    check(service().publish_timeout("1"), "Setting", &["`publish_timeout`", "write a number and a unit"]);
    check(service().schedules_up_to("9y"), "Setting", &["`schedules_up_to`", "8.5 years"]);
    check(service().schedules_up_to("never"), "Setting", &["`schedules_up_to`", "`never`"]);
    check(service().delays("a.*.b"), "Setting", &["`delays`", "wildcard"]);
    check(service().exchange(""), "Setting", &["`exchange`", "empty"]);
    check(service().exchange("amq.topic"), "Setting", &["`exchange`", "amq."]);
}

#[test]
fn subscriptions_make_sense() {
    let to = || Subscription::to("order_created");
    let policy = RetryPolicy::default();
    check(with(to().name("dead")), "Handler", &["handler `dead`", "choose another"]);
    check(with(to().name("stock.migrating")), "Handler", &["handler `stock.migrating`", "choose another"]);
    check(with(to().name("A")), "Handler", &["handler `A`", "`name`", "a-z"]);
    check(
        with(to().and("order created")),
        "Handler",
        &["handler `order_created`", "`subscribes to`", "`order created`"],
    );
    check(with(to().and("order_created")), "Handler", &["`order_created` twice"]);
    check(with(to().concurrency(0)), "Handler", &["`concurrency` is 0"]);
    check(with(to().prefetch(0)), "Handler", &["`prefetch` is 0", "no limit"]);
    check(with(to().prefetch(3)), "Handler", &["`prefetch` is less than concurrency", "16"]);
    check(with(to().timeout(Duration::ZERO)), "Handler", &["`timeout` is 0"]);
    check(with(to().timeout("fast")), "Handler", &["`timeout`", "`fast`"]);
    check(with(to().retry(policy.attempts(0))), "Handler", &["handler `order_created`", "`attempts`"]);
    check(with(to().retry(policy.factor(0.5))), "Handler", &["`factor`"]);
    check(with(to().queue("")), "Handler", &["`queue`", "empty"]);
    check(with(to().queue("rabbitry.v1.x")), "Handler", &["`queue`", "choose another"]);
    check(with(to().broadcast().queue("x")), "Handler", &["`broadcast`", "leave `queue` and `queue_type` out"]);
    check(with(to().broadcast().queue_type(QueueType::Classic)), "Handler", &["`broadcast`"]);
    let returning = to().broadcast().handler(|event: OrderCreated| async move { event });
    check(service().subscription(returning), "Handler", &["handler `order_created`", "`broadcast`", "return ()"]);
    let other = Subscription::to("order_cancelled").handler(|_: OrderCreated| async {});
    check(service().subscription(other), "Handler", &["`order_cancelled`, but takes `order_created`"]);
    let pattern = Subscription::to("order_*").handler(|_: OrderCreated| async {});
    check(service().subscription(pattern), "Handler", &["`order_*`"]);
    let pattern = Subscription::to("order.*").handler(|_: OrderCreated| async {});
    check(service().subscription(pattern), "Handler", &["a pattern", "take `AnyEvent`"]);
    let nothing = to().handler(|State(_): State<u8>| async { Ok::<_, HandlerError>(()) });
    check(service().state(1u8).subscription(nothing), "Handler", &["`arguments`", "takes exactly one by value"]);
}

#[test]
fn two_handlers_do_not_share_a_queue() {
    let twice = with(Subscription::to("order")).subscription(Subscription::to("bill").name("order").handler(audit));
    check(twice, "OneQueue", &["`shop.order`", "name = "]);
    let one = with(Subscription::to("order").queue("in"));
    let two = one.subscription(Subscription::to("bill").queue("in").handler(audit));
    check(two, "OneQueue", &["handlers `order` and `bill`", "queue, `in`"]);
}

#[test]
fn an_exchange_is_of_one_type() {
    let named = |kind| Subscription::to("order").exchange(Exchange::named("legacy", kind));
    let both = with(named(ExchangeKind::Direct)).subscription(named(ExchangeKind::Fanout).name("b").handler(audit));
    check(both, "ExchangeType", &["`legacy`", "as direct and as fanout", "only be one"]);
}

#[test]
fn state_is_there_and_there_once() {
    let wants = || service().subscribe("order_created", |_: OrderCreated, State(_): State<String>| async {});
    check(wants(), "MissingState", &["handler `order_created`", "String", "state("]);
    check(wants().state("a".to_owned()).state("b".to_owned()), "StateTwice", &["String", "a type of its own"]);
}

#[test]
fn a_service_does_something() {
    check(Service::new("shop").broker("amqp://localhost/x"), "Nothing", &["`shop`", "publishes::<E>()"]);
    let none = Service::new("shop").subscriptions(subscriptions!());
    check(none, "NoneFound", &["build_errors", "list them: subscriptions![a, b]"]);
}

#[test]
fn the_broker_is_one() {
    // The one test of this process that needs the variable to be as it is.
    if std::env::var_os("AMQP_URL").is_none() {
        let nowhere = Service::new("shop").publishes::<AnyEvent>();
        check(nowhere, "NoBroker", &["service `shop`", "AMQP_URL", ".broker(…)"]);
    }
    let text = error(service().broker("http://me:s3cret@h/"), "Broker");
    assert!(text.contains("neither amqp nor amqps") && !text.contains("s3cret"), "{text}");
}
