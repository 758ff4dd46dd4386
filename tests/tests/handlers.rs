//! What handlers take and what they return.

#![allow(
    clippy::manual_async_fn,
    clippy::unused_async,
    clippy::needless_pass_by_value,
    reason = "what handlers look like is what is tested"
)]

use std::time::Duration;

use rabbitry::{
    AnyEvent, Attempt, DecodeError, EventSet, HandlerError, Metadata, Publisher, RetryPolicy, Service, State,
    Subscription, Subscriptions, event,
    handler::{Argument, MissingResource, Outcome, Received, Resources},
    prelude::*,
    subscribe, subscriptions,
};
use rabbitry_tests::{Books, Header, Record, TestBroker, stop, within};
use serde_json::{Value, json};

#[event("order_created")]
#[derive(Clone, PartialEq)]
struct OrderCreated {
    #[key]
    order_id: i64,
}

#[event("order_cancelled")]
#[derive(PartialEq)]
struct OrderCancelled {
    order_id: i64,
    reason: String,
}

#[event("stock_updated")]
struct StockUpdated {
    #[key]
    by: String,
    left: i64,
}

#[event("mail_wanted")]
struct MailWanted {
    by: String,
}

#[derive(Debug, EventSet)]
enum OrderEvent {
    Created(OrderCreated),
    Cancelled(OrderCancelled),
}

#[derive(EventSet)]
enum Said {
    Stock(StockUpdated),
    Mail(MailWanted),
}

fn stock(by: &str) -> StockUpdated {
    StockUpdated { by: by.to_owned(), left: 1 }
}

fn mail(by: &str) -> MailWanted {
    MailWanted { by: by.to_owned() }
}

/// An extractor of this test's own.
struct Tenant(Option<String>);

impl Argument for Tenant {
    type Source = ();

    fn source(_: &Resources) -> Result<(), MissingResource> {
        Ok(())
    }

    fn extract((): &(), received: &Received<'_>) -> Result<Self, DecodeError> {
        Ok(Self(received.metadata().get("tenant").and_then(Value::as_str).map(str::to_owned)))
    }
}

/// What handlers note down: the handler, and what it saw.
type Notes = Record<(&'static str, Value)>;

#[subscribe("order_created", retry(attempts = 4))]
async fn takes_all(
    order: OrderCreated,
    State(notes): State<Notes>,
    metadata: Metadata,
    attempt: Attempt,
    Tenant(tenant): Tenant,
    mails: Publisher<MailWanted>,
) -> Result<(), rabbitry::PublishError> {
    mails.publish(mail("takes_all")).await?;
    let seen = json!({
        "order": order.order_id,
        "id": metadata.id(),
        "source": metadata.source(),
        "version": metadata.version(),
        "key": metadata.key(),
        "time": metadata.time().is_some(),
        "tenant": tenant,
        "attempt": [attempt.number, attempt.of],
    });
    notes.add(("takes_all", seen));
    Ok(())
}

#[subscribe("order_created", "order_cancelled")]
async fn takes_a_set(event: OrderEvent, State(notes): State<Notes>) {
    let seen = match event {
        OrderEvent::Created(created) => json!({ "created": created.order_id }),
        OrderEvent::Cancelled(cancelled) => json!({ "cancelled": cancelled.order_id, "reason": cancelled.reason }),
    };
    notes.add(("takes_a_set", seen));
}

#[subscribe("#")]
async fn takes_any(event: AnyEvent, State(notes): State<Notes>) {
    notes.add(("takes_any", json!({ "name": event.name(), "is": event.is::<OrderCreated>() })));
}

/// A function that is no `async fn`, and a name that is not the function's.
#[subscribe("order_created", name = "returns-future")]
fn returns_a_future(order: OrderCreated, State(notes): State<Notes>) -> impl Future<Output = ()> + Send {
    async move { notes.add(("returns_a_future", json!(order.order_id))) }
}

#[subscribe("order_created", blocking)]
fn blocks(order: OrderCreated, State(notes): State<Notes>) -> Result<StockUpdated, std::io::Error> {
    // Where async code runs, this panics.
    let id = tokio::runtime::Handle::current().block_on(async { order.order_id });
    notes.add(("blocks", json!(id)));
    Ok(stock("blocks"))
}

async fn by_hand(order: OrderCreated, State(notes): State<Notes>) {
    notes.add(("by_hand", json!(order.order_id)));
}

fn blocks_by_hand(order: OrderCreated, State(notes): State<Notes>) {
    let id = tokio::runtime::Handle::current().block_on(async { order.order_id });
    notes.add(("blocks_by_hand", json!(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_argument_is_made_of_the_event() {
    let broker = TestBroker::new().await;
    let (notes, closures) = (Notes::default(), Notes::default());
    let closure = closures.clone();
    let service = Service::new("all")
        .state(notes.clone())
        .publishes::<OrderEvent>()
        .subscriptions(subscriptions![takes_all, takes_a_set, takes_any, returns_a_future, blocks])
        .subscription(Subscription::to("order_created").name("by_hand").handler(by_hand))
        .subscription(Subscription::to("order_created").name("blocks_by_hand").blocking_handler(blocks_by_hand))
        .subscribe("order_created", move |order: OrderCreated, attempt: Attempt| {
            closure.add(("closure", json!([order.order_id, attempt.of])));
            async {}
        });
    let running = broker.start(service).await;
    let orders = running.publisher::<OrderEvent>().unwrap();
    let created = OrderEvent::Created(OrderCreated { order_id: 7 });
    orders.event(created).id("order-7").entry("tenant", "north").publish().await.unwrap();
    let cancelled = OrderCancelled { order_id: 8, reason: "late".to_owned() };
    orders.publish(OrderEvent::Cancelled(cancelled)).await.unwrap();
    assert_eq!(closures.wait_for(1).await, [("closure", json!([7, 7]))]);
    let mut seen: Vec<String> =
        notes.wait_for(11).await.into_iter().map(|(handler, seen)| format!("{handler} {seen}")).collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "blocks 7",
            "blocks_by_hand 7",
            "by_hand 7",
            "returns_a_future 7",
            r#"takes_a_set {"cancelled":8,"reason":"late"}"#,
            r#"takes_a_set {"created":7}"#,
            r#"takes_all {"attempt":[1,4],"id":"order-7","key":"7","order":7,"source":"all","tenant":"north","time":true,"version":1}"#,
            r#"takes_any {"is":false,"name":"mail_wanted"}"#,
            r#"takes_any {"is":false,"name":"order_cancelled"}"#,
            r#"takes_any {"is":false,"name":"stock_updated"}"#,
            r#"takes_any {"is":true,"name":"order_created"}"#,
        ]
    );
    stop(running).await;
    Books::settled(&broker, 0).await.balance(12, 12);
}

#[derive(Debug, thiserror::Error)]
#[error("the shelf is empty")]
struct Empty(#[source] std::fmt::Error);

/// A handler of its own queue, that runs once.
fn once<T: Outcome>(name: &'static str, outcome: impl Fn() -> T + Send + Sync + 'static) -> Subscription {
    let options = Subscription::to("ask").name(name).retry(RetryPolicy::default().attempts(1));
    options.handler(move |_: AnyEvent| {
        let outcome = outcome();
        async move { outcome }
    })
}

fn outcomes() -> Subscriptions {
    type R<T, E> = Result<T, E>;
    Subscriptions::listed([
        once("unit", || ()),
        once("event", || stock("event")),
        once("set", || Said::Mail(mail("set"))),
        once("some", || Some(stock("some"))),
        once("none", || None::<StockUpdated>),
        once("vec", || vec![stock("vec"), stock("vec"), stock("vec")]),
        once("vec-none", Vec::<StockUpdated>::new),
        once("vec-set", || vec![Said::Stock(stock("vec-set")), Said::Mail(mail("vec-set"))]),
        once("tuple", || (stock("tuple"), Some(mail("tuple")), vec![stock("tuple")], ())),
        once("any", || AnyEvent::new("stock_updated", &json!({ "by": "any", "left": 1 })).unwrap()),
        once("ok-unit", || R::<_, Empty>::Ok(())),
        once("ok-event", || R::<_, Empty>::Ok(stock("ok-event"))),
        once("ok-set", || R::<_, anyhow::Error>::Ok(Said::Stock(stock("ok-set")))),
        once("ok-some", || R::<_, String>::Ok(Some(mail("ok-some")))),
        once("ok-vec", || R::<_, HandlerError>::Ok(vec![stock("ok-vec"), stock("ok-vec")])),
        once("ok-tuple", || R::<_, &'static str>::Ok((mail("ok-tuple"), stock("ok-tuple")))),
        once("some-ok", || Some(R::<_, Empty>::Ok(stock("some-ok")))),
        // An error takes all with it: nothing of these is published.
        once("err-own", || R::<StockUpdated, _>::Err(Empty(std::fmt::Error))),
        once("err-anyhow", || R::<(), _>::Err(anyhow::Error::new(std::fmt::Error).context("no shelf"))),
        once("err-string", || R::<(), _>::Err("no more".to_owned())),
        once("err-str", || R::<(), _>::Err("no more at all")),
        once("err-box", || R::<(), Box<dyn std::error::Error + Send + Sync>>::Err("boxed".into())),
        once("err-handler", || R::<(), HandlerError>::Err(HandlerError::reject("never"))),
        once("err-mixed", mixed),
        once("err-behind", || (stock("err-behind"), R::<StockUpdated, _>::Err("second"))),
    ])
}

/// `?` takes all of these in one function.
fn mixed() -> Result<StockUpdated, HandlerError> {
    "7".parse::<i64>()?;
    anyhow::Ok(())?;
    Err(Empty(std::fmt::Error)).or_reject()?;
    Ok(stock("err-mixed"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_published_or_fails() {
    let broker = TestBroker::new().await;
    let service = Service::new("all").publishes::<AnyEvent>().subscriptions(outcomes());
    let running = broker.start(service).await;
    let client = broker.client().await;
    client.declare_queue("said", "events", "*").await;
    let publisher = running.publisher::<AnyEvent>().unwrap();
    publisher.publish_value("ask", json!(null), None).await.unwrap();
    let said = client.receive("said", 21).await;
    let mut published: Vec<String> = said
        .iter()
        .filter(|raw| raw.routing_key != "ask")
        .map(|raw| format!("{} {}", raw.json()["data"]["by"].as_str().unwrap(), raw.routing_key))
        .collect();
    published.sort();
    let expected = [
        "any stock_updated",
        "event stock_updated",
        "ok-event stock_updated",
        "ok-set stock_updated",
        "ok-some mail_wanted",
        "ok-tuple mail_wanted",
        "ok-tuple stock_updated",
        "ok-vec stock_updated",
        "ok-vec stock_updated",
        "set mail_wanted",
        "some stock_updated",
        "some-ok stock_updated",
        "tuple mail_wanted",
        "tuple stock_updated",
        "tuple stock_updated",
        "vec stock_updated",
        "vec stock_updated",
        "vec stock_updated",
        "vec-set mail_wanted",
        "vec-set stock_updated",
    ];
    assert_eq!(published, expected);
    let mut failed = Vec::new();
    for handler in
        ["err-own", "err-anyhow", "err-string", "err-str", "err-box", "err-handler", "err-mixed", "err-behind"]
    {
        let dead = client.receive(&format!("all.{handler}.dead"), 1).await;
        failed.push(format!("{handler} {}: {}", dead[0].text("rabbitry-reason"), dead[0].text("rabbitry-error")));
    }
    assert_eq!(
        failed,
        [
            "err-own error: the shelf is empty: an error occurred when formatting an argument",
            "err-anyhow error: no shelf: an error occurred when formatting an argument",
            "err-string error: no more",
            "err-str error: no more at all",
            "err-box error: boxed",
            "err-handler rejected: never",
            "err-mixed rejected: the shelf is empty: an error occurred when formatting an argument",
            "err-behind error: second",
        ]
    );
    stop(running).await;
    Books::settled(&broker, 0).await.balance(25, 17 + 8);
    assert_eq!(client.count("said").await, Some(0));
}

/// Until what a handler returned is confirmed, its cause is not acknowledged, and the handler does not run again for it.
#[tokio::test(flavor = "multi_thread")]
async fn returned_events_are_confirmed_before_the_cause_is_acknowledged() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let runs = Record::default();
    let service = |runs: Record<i64>| {
        Service::new("inventory").grace(Duration::from_millis(500)).publishes::<AnyEvent>().subscribe(
            "order_created",
            move |order: OrderCreated| {
                runs.add(order.order_id);
                // Only the first has something to say.
                async move { (order.order_id == 1).then(|| stock("inventory")) }
            },
        )
    };
    let running = broker.start(service(runs.clone())).await;
    // A queue that is full turns every confirm of this event into a nack.
    let full = [
        ("x-queue-type", Header::LongString("quorum".into())),
        ("x-max-length", Header::LongLongInt(1)),
        ("x-overflow", Header::LongString("reject-publish".into())),
    ];
    client.declare_queue_with("full", &full).await;
    client.bind("full", "events", "stock_updated").await;
    let fill = running.publisher::<AnyEvent>().unwrap();
    // A quorum queue holds a few more than it may before it says no.
    while fill.publish_value("stock_updated", json!({ "by": "filling", "left": 0 }), None).await.is_ok() {}
    for order_id in [1, 2] {
        client
            .publish_bare("events", "order_created", &format!("order-{order_id}"), &json!({ "order_id": order_id }))
            .await;
    }
    assert_eq!(runs.wait_for(2).await.len(), 2);
    // The second is acknowledged when the service stops, the first is not: its event is nowhere.
    let error = within("stopping", running.shutdown()).await.unwrap_err();
    assert_eq!(error.cut_off, [("order_created".to_owned(), 1)]);
    assert_eq!(runs.len(), 2, "a handler that has ended is not run again");
    assert_eq!(client.count("inventory.order_created").await, Some(1));
    let waiting = client.look("inventory.order_created").await.expect("the cause is not acknowledged");
    assert_eq!(waiting.id(), "order-1");
    // With room, the event is stored and the cause goes.
    while client.take("full").await.is_some() {}
    let running = broker.start(service(runs.clone())).await;
    let said = client.receive("full", 1).await;
    assert_eq!(said[0].json()["metadata"]["causationId"], "order-1");
    stop(running).await;
    assert_eq!(runs.all().iter().filter(|order| **order == 1).count(), 2);
    Books::settled(&broker, 0).await.balance(2, 2);
}

#[subscribe("order_created")]
async fn mails_and_returns(order: OrderCreated, mails: Publisher<MailWanted>) -> anyhow::Result<StockUpdated> {
    mails.publish(mail("plain")).await?;
    mails.event(mail("built")).id("mail-1").correlation_id("other").entry("tenant", order.order_id).publish().await?;
    Ok(stock("returned"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_says_has_its_event_as_the_cause() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let service =
        Service::new("inventory").publishes::<OrderCreated>().subscriptions(subscriptions![mails_and_returns]);
    let running = broker.start(service).await;
    client.declare_queue("mails", "events", "mail_wanted").await;
    client.declare_queue("stock", "events", "stock_updated").await;
    let orders = running.publisher::<OrderCreated>().unwrap();
    let published = orders.event(OrderCreated { order_id: 7 }).correlation_id("checkout").publish().await.unwrap();
    let mails = client.receive("mails", 2).await;
    let stock = client.receive("stock", 1).await;
    let facts = |metadata: &Value| (metadata["correlationId"].clone(), metadata["causationId"].clone());
    for (raw, correlation) in [(&mails[0], "checkout"), (&mails[1], "other"), (&stock[0], "checkout")] {
        let metadata = &raw.json()["metadata"];
        assert_eq!(facts(metadata), (json!(correlation), json!(published.id())));
        assert_eq!(metadata["id"], raw.id());
        assert_eq!(metadata["source"], "inventory");
        assert_eq!(raw.properties.correlation_id().as_ref().unwrap().as_str(), correlation);
        assert_eq!(raw.properties.app_id().as_ref().unwrap().as_str(), "inventory");
    }
    assert_eq!(mails[1].id(), "mail-1");
    assert_eq!(mails[1].json()["metadata"]["tenant"], 7);
    assert_eq!(stock[0].json()["metadata"]["key"], "returned");
    stop(running).await;
    Books::settled(&broker, 0).await.balance(1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_publish_with_metadata_by_value_and_many_at_once() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let service = Service::new("shop").publishes::<OrderCreated>().publishes::<AnyEvent>();
    let running = broker.start(service).await;
    client.declare_queue("orders", "events", "order_created").await;
    let orders = running.publisher::<OrderCreated>().unwrap();
    let built = orders.event(OrderCreated { order_id: 1 }).id("one").correlation_id("first").entry("tenant", "north");
    assert_eq!(built.publish().await.unwrap().id(), "one");
    let values = running.publisher::<AnyEvent>().unwrap();
    let metadata = json!({ "tenant": "south", "urgent": true });
    let by_value = values.publish_value("order_created", json!({ "order_id": 2 }), Some(metadata)).await.unwrap();
    assert_eq!(orders.publish_all((3..=500).map(|order_id| OrderCreated { order_id })).await.unwrap(), 498);
    let received = client.receive("orders", 500).await;
    let ids = received.iter().map(|raw| raw.json()["data"]["order_id"].as_i64().unwrap());
    let misplaced: Vec<_> = ids.zip(1..).filter(|(id, place)| id != place).collect();
    assert_eq!(misplaced, [], "one publisher's events keep their order");
    let first = received[0].json();
    assert_eq!(first["eventType"], "order_created");
    assert_eq!(first["metadata"]["id"], "one");
    assert_eq!(first["metadata"]["correlationId"], "first");
    assert_eq!(first["metadata"]["tenant"], "north");
    assert_eq!(first["metadata"]["key"], "1");
    assert_eq!(first["metadata"]["version"], 1);
    assert_eq!(first["metadata"].get("causationId"), None);
    assert_eq!(*received[0].properties.delivery_mode(), Some(2));
    assert_eq!(received[0].properties.kind().as_ref().unwrap().as_str(), "order_created");
    let second = received[1].json();
    assert_eq!(second["metadata"]["id"], by_value.id());
    assert_eq!(second["metadata"]["tenant"], "south");
    assert_eq!(second["metadata"]["urgent"], true);
    for reserved in ["id", "x-death", "rabbitry-attempt", "CC", ""] {
        let error = orders.event(OrderCreated { order_id: 0 }).entry(reserved, 1).publish().await.unwrap_err();
        assert!(matches!(error, rabbitry::PublishError::Entry(_)), "{reserved}: {error}");
    }
    values.publish_value("Order Created", json!(1), None).await.unwrap_err();
    values.publish_value("order_created", json!(1), Some(json!([1]))).await.unwrap_err();
    stop(running).await;
    assert_eq!(client.count("orders").await, Some(0));
    Books::settled(&broker, 0).await.balance(500, 500);
}

/// An error whose text cannot be had.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("there are no words")
    }
}

impl std::error::Error for Unspeakable {}

#[tokio::test(flavor = "multi_thread")]
async fn code_of_the_user_that_panics_beside_the_handler_ends_no_subscription() {
    let broker = TestBroker::new().await;
    let handled = Record::default();
    let note = handled.clone();
    let speechless = Subscription::to("job").name("speechless").retry(RetryPolicy::default().attempts(1));
    let speechless = speechless.handler(move |event: AnyEvent| {
        let fails = event.json() == "0";
        if !fails {
            note.add(event.json().to_owned());
        }
        async move { if fails { Err(Unspeakable) } else { Ok(()) } }
    });
    let undecided = Subscription::to("job").name("undecided").retry(RetryPolicy::default().attempts(1));
    let undecided = undecided.reject_if(|_: &std::io::Error| panic!("undecided"));
    let undecided = undecided.handler(|_: AnyEvent| async { Err::<(), _>(std::io::Error::other("no")) });
    let service = Service::new("worker").publishes::<AnyEvent>().subscription(speechless).subscription(undecided);
    let running = broker.start(service).await;
    let publisher = running.publisher::<AnyEvent>().unwrap();
    publisher.publish_value("job", 0, None).await.unwrap();
    publisher.publish_value("job", 1, None).await.unwrap();
    let client = broker.client().await;
    assert_eq!(handled.wait_for(1).await, ["1"]);
    for (queue, count) in [("worker.speechless.dead", 1), ("worker.undecided.dead", 2)] {
        for dead in client.receive(queue, count).await {
            assert_eq!(dead.text("rabbitry-reason"), "panic", "{queue}");
        }
    }
    assert!(running.health().is_ready());
    stop(running).await;
    Books::read(&broker).await.balance(0, 0);
}
