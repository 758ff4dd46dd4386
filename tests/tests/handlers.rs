//! What handlers take and what they return.

#![allow(
    clippy::manual_async_fn,
    clippy::unused_async,
    clippy::needless_pass_by_value,
    reason = "what handlers look like is what is tested"
)]

use std::time::Duration;

use rabbitry::{
    AnyEvent, Attempt, DecodeError, EventSet, HandlerError, Metadata, Publisher, QueueType, RetryPolicy, Service,
    State, Subscription, Subscriptions, event,
    handler::{Argument, MissingResource, Outcome, Received, Resources},
    prelude::*,
    subscribe, subscriptions, testing, topology,
};
use rabbitry_tests::{Books, Record, Stranger, eventually, id, json as content, on_both, text, within};
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

#[subscribe("order_created")]
async fn mails_and_returns(order: OrderCreated, mails: Publisher<MailWanted>) -> anyhow::Result<StockUpdated> {
    mails.publish(mail("plain")).await?;
    mails.event(mail("built")).id("mail-1").correlation_id("other").entry("tenant", order.order_id).publish().await?;
    Ok(stock("returned"))
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

on_both! {
async fn every_argument_is_made_of_the_event(place: Place) {
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
    let test = testing::start_on(place, service).await;
    let orders = test.running(0).publisher::<OrderEvent>().unwrap();
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
    Books::after(test).await.balance(12, 12);
}

async fn every_outcome_is_published_or_fails(place: Place) {
    let service = Service::new("all").publishes::<AnyEvent>().subscriptions(outcomes());
    let test = testing::start_on(place, service).await;
    let stranger = Stranger::on(&test.broker()).await;
    stranger.declare_queue("said", QueueType::Classic, "events", "*").await;
    let publisher = test.running(0).publisher::<AnyEvent>().unwrap();
    publisher.publish_value("ask", json!(null), None).await.unwrap();
    let said = stranger.take("said", 21).await;
    let mut published: Vec<String> = said
        .iter()
        .filter(|raw| raw.routing_key != "ask")
        .map(|raw| format!("{} {}", content(raw)["data"]["by"].as_str().unwrap(), raw.routing_key))
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
        let dead = stranger.take(&format!("all.{handler}.dead"), 1).await;
        failed.push(format!("{handler} {}: {}", text(&dead[0], "rabbitry-reason"), text(&dead[0], "rabbitry-error")));
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
    Books::after(test).await.balance(25, 17 + 8);
    assert_eq!(stranger.count("said").await, 0);
}

/// Until what a handler returned is confirmed, its cause is not acknowledged, and the handler does not run again for it.
async fn returned_events_are_confirmed_before_the_cause_is_acknowledged(place: Place) {
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
    let mut test = testing::start_on(place, service(runs.clone())).await;
    let stranger = Stranger::on(&test.broker()).await;
    // A queue that is full turns every confirm of this event into a nack.
    let full = [
        ("x-max-length", topology::Argument::Integer(1)),
        ("x-overflow", topology::Argument::Text("reject-publish".to_owned())),
    ];
    stranger.declare_queue_with("full", QueueType::Quorum, &full, Some(("events", "stock_updated"))).await;
    let fill = test.running(0).publisher::<AnyEvent>().unwrap();
    // A quorum queue holds a few more than it may before it says no.
    while fill.publish_value("stock_updated", json!({ "by": "filling", "left": 0 }), None).await.is_ok() {}
    for order_id in [1, 2] {
        stranger
            .publish_bare("events", "order_created", &format!("order-{order_id}"), &json!({ "order_id": order_id }))
            .await;
    }
    assert_eq!(runs.wait_for(2).await.len(), 2);
    // The second is acknowledged when the service stops, the first is not: its event is nowhere.
    let running = test.take(0);
    let error = within("stopping", running.shutdown()).await.unwrap_err();
    assert_eq!(error.cut_off, [("order_created".to_owned(), 1)]);
    assert_eq!(runs.len(), 2, "a handler that has ended is not run again");
    // The broker may take a moment to see that its consumer is gone.
    eventually("the cause is back", || async { stranger.count("inventory.order_created").await == 1 }).await;
    let waiting = stranger.look("inventory.order_created", 1).await;
    assert_eq!(id(&waiting[0].message), "order-1", "the cause is not acknowledged");
    // With room, the event is stored and the cause goes.
    let held = stranger.count("full").await;
    stranger.take("full", usize::try_from(held).unwrap()).await;
    test.start_another(service(runs.clone())).await;
    let said = stranger.take("full", 1).await;
    assert_eq!(content(&said[0])["metadata"]["causationId"], "order-1");
    let books = Books::after(test).await;
    assert_eq!(runs.all().iter().filter(|order| **order == 1).count(), 2);
    books.balance(2, 2);
}

async fn what_a_handler_says_has_its_event_as_the_cause(place: Place) {
    let service =
        Service::new("inventory").publishes::<OrderCreated>().subscriptions(subscriptions![mails_and_returns]);
    let test = testing::start_on(place, service).await;
    let stranger = Stranger::on(&test.broker()).await;
    stranger.declare_queue("mails", QueueType::Classic, "events", "mail_wanted").await;
    stranger.declare_queue("stock", QueueType::Classic, "events", "stock_updated").await;
    let orders = test.running(0).publisher::<OrderCreated>().unwrap();
    let published = orders.event(OrderCreated { order_id: 7 }).correlation_id("checkout").publish().await.unwrap();
    let mails = stranger.take("mails", 2).await;
    let stock = stranger.take("stock", 1).await;
    let facts = |metadata: &Value| (metadata["correlationId"].clone(), metadata["causationId"].clone());
    for (raw, correlation) in [(&mails[0], "checkout"), (&mails[1], "other"), (&stock[0], "checkout")] {
        let metadata = &content(raw)["metadata"];
        assert_eq!(facts(metadata), (json!(correlation), json!(published.id())));
        assert_eq!(metadata["id"], id(raw));
        assert_eq!(metadata["source"], "inventory");
        assert_eq!(raw.properties.correlation_id.as_deref().unwrap(), correlation);
        assert_eq!(raw.properties.app_id.as_deref().unwrap(), "inventory");
    }
    assert_eq!(id(&mails[1]), "mail-1");
    assert_eq!(content(&mails[1])["metadata"]["tenant"], 7);
    assert_eq!(content(&stock[0])["metadata"]["key"], "returned");
    Books::after(test).await.balance(1, 1);
}

async fn routes_publish_with_metadata_by_value_and_many_at_once(place: Place) {
    let service = Service::new("shop").publishes::<OrderCreated>().publishes::<AnyEvent>();
    let test = testing::start_on(place, service).await;
    let stranger = Stranger::on(&test.broker()).await;
    stranger.declare_queue("orders", QueueType::Classic, "events", "order_created").await;
    let orders = test.running(0).publisher::<OrderCreated>().unwrap();
    let built = orders.event(OrderCreated { order_id: 1 }).id("one").correlation_id("first").entry("tenant", "north");
    assert_eq!(built.publish().await.unwrap().id(), "one");
    let values = test.running(0).publisher::<AnyEvent>().unwrap();
    let metadata = json!({ "tenant": "south", "urgent": true });
    let by_value = values.publish_value("order_created", json!({ "order_id": 2 }), Some(metadata)).await.unwrap();
    assert_eq!(orders.publish_all((3..=500).map(|order_id| OrderCreated { order_id })).await.unwrap(), 498);
    let received = stranger.take("orders", 500).await;
    let ids = received.iter().map(|raw| content(raw)["data"]["order_id"].as_i64().unwrap());
    let misplaced: Vec<_> = ids.zip(1..).filter(|(id, place)| id != place).collect();
    assert_eq!(misplaced, [], "one publisher's events keep their order");
    let first = content(&received[0]);
    assert_eq!(first["eventType"], "order_created");
    assert_eq!(first["metadata"]["id"], "one");
    assert_eq!(first["metadata"]["correlationId"], "first");
    assert_eq!(first["metadata"]["tenant"], "north");
    assert_eq!(first["metadata"]["key"], "1");
    assert_eq!(first["metadata"]["version"], 1);
    assert_eq!(first["metadata"].get("causationId"), None);
    assert_eq!(received[0].properties.delivery_mode, Some(2));
    assert_eq!(received[0].properties.kind.as_deref().unwrap(), "order_created");
    let second = content(&received[1]);
    assert_eq!(second["metadata"]["id"], by_value.id());
    assert_eq!(second["metadata"]["tenant"], "south");
    assert_eq!(second["metadata"]["urgent"], true);
    for reserved in ["id", "x-death", "rabbitry-attempt", "CC", ""] {
        let error = orders.event(OrderCreated { order_id: 0 }).entry(reserved, 1).publish().await.unwrap_err();
        assert!(matches!(error, rabbitry::PublishError::Entry(_)), "{reserved}: {error}");
    }
    values.publish_value("Order Created", json!(1), None).await.unwrap_err();
    values.publish_value("order_created", json!(1), Some(json!([1]))).await.unwrap_err();
    let books = Books::after(test).await;
    assert_eq!(stranger.count("orders").await, 0);
    books.balance(500, 500);
}

async fn code_of_the_user_that_panics_beside_the_handler_ends_no_subscription(place: Place) {
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
    let test = testing::start_on(place, service).await;
    let publisher = test.running(0).publisher::<AnyEvent>().unwrap();
    publisher.publish_value("job", 0, None).await.unwrap();
    publisher.publish_value("job", 1, None).await.unwrap();
    let stranger = Stranger::on(&test.broker()).await;
    assert_eq!(handled.wait_for(1).await, ["1"]);
    for (queue, count) in [("worker.speechless.dead", 1), ("worker.undecided.dead", 2)] {
        for dead in stranger.take(queue, count).await {
            assert_eq!(text(&dead, "rabbitry-reason"), "panic", "{queue}");
        }
    }
    assert!(test.running(0).health().is_ready());
    Books::after(test).await.balance(0, 0);
}
}
