//! Messages that rabbitry did not write: by other clients, other toolkits, and people who mean harm.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lapin::{BasicProperties, types::FieldArray};
use rabbitry::{AnyEvent, Metadata, Publisher, RetryPolicy, Service, Subscription, event};
use rabbitry_tests::{Books, Header, Raw, Record, TestBroker, nested, stop, table, within};
use serde_json::json;

#[event("order")]
struct Order {
    order_id: i64,
}

/// What a handler of any event gets of a message.
#[derive(Clone, Debug, PartialEq)]
enum Reads {
    Data(String),
    /// It can be read; as what is another test's.
    Something,
    Nothing,
}

/// A message, and what is true of its dead letter.
struct Foreign {
    what: &'static str,
    properties: BasicProperties,
    body: Vec<u8>,
    reads: Reads,
    /// Headers of the dead letter.
    kept: Vec<(&'static str, Header)>,
}

impl Foreign {
    /// With a body of its own, by which it is known again, that is readable.
    fn with(what: &'static str, properties: BasicProperties) -> Self {
        let body = json!({ "what": what }).to_string();
        Self { what, properties, reads: Reads::Data(body.clone()), body: body.into_bytes(), kept: Vec::new() }
    }

    fn headers(what: &'static str, headers: &[(&str, Header)]) -> Self {
        Self::with(what, BasicProperties::default().with_headers(table(headers)))
    }

    fn body(what: &'static str, body: impl Into<Vec<u8>>, reads: Reads) -> Self {
        let properties = BasicProperties::default().with_content_type("application/json".into());
        Self { what, properties, body: body.into(), reads, kept: Vec::new() }
    }

    /// A body that comes as it is.
    fn as_is(what: &'static str, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::body(what, body.clone(), Reads::Data(body))
    }

    fn keeps(mut self, headers: &[(&'static str, Header)]) -> Self {
        self.kept.extend_from_slice(headers);
        self
    }
}

fn text(value: &str) -> Header {
    Header::LongString(value.into())
}

fn array(values: Vec<Header>) -> Header {
    Header::FieldArray(FieldArray::from(values))
}

/// The queue that always succeeds, as the ladder would be told to send something there at once.
fn stowaway() -> String {
    format!("{}queue.foreign.keeps", "0.".repeat(28))
}

/// A death in a level of the ladder, as the broker writes it.
fn death(level: &str) -> Header {
    let queue = format!("rabbitry.v1.delay.{level}");
    Header::FieldTable(table(&[
        ("count", Header::LongLongInt(1)),
        ("reason", text("expired")),
        ("queue", text(&queue)),
        ("exchange", text(&queue)),
        ("routing-keys", array(vec![text("order")])),
        ("time", Header::Timestamp(1_700_000_000)),
    ]))
}

fn properties() -> Vec<Foreign> {
    let plain = BasicProperties::default;
    let forged = |what, attempt: Header| {
        let headers = [
            ("rabbitry-attempt", attempt),
            ("rabbitry-queue", text("foreign.fails")),
            ("rabbitry-reason", text("fun")),
        ];
        Foreign::headers(what, &headers)
    };
    let carbon = array(vec![text("stranger"), text("foreign.keeps"), text(&stowaway())]);
    let deaths = array(vec![death("00"), death("01")]);
    vec![
        // Less than the retry waits in one level of the ladder.
        Foreign::with("expiration", plain().with_expiration("1500".into()))
            .keeps(&[("rabbitry-original-expiration", text("1500"))]),
        Foreign::with("no properties", plain()),
        Foreign::with("user id", plain().with_user_id("guest".into()))
            .keeps(&[("rabbitry-original-user-id", text("guest"))]),
        Foreign::with("transient", plain().with_delivery_mode(1))
            .keeps(&[("rabbitry-original-delivery-mode", Header::LongLongInt(1))]),
        Foreign::with("priority", plain().with_priority(9)),
        Foreign::with("other type", plain().with_type("Some.Java$Class".into())),
        Foreign::headers("carbon copy", &[("CC", carbon.clone())]).keeps(&[("rabbitry-original-CC", carbon)]),
        Foreign::headers("forged deaths", &[("x-death", deaths.clone())])
            .keeps(&[("rabbitry-original-x-death", deaths)]),
        Foreign::headers("forged count", &[("x-delivery-count", Header::LongLongInt(50))]),
        Foreign::headers("forged first death", &[("x-first-death-queue", text("rabbitry.v1.delay.01"))])
            .keeps(&[("rabbitry-original-x-first-death-queue", text("rabbitry.v1.delay.01"))]),
        forged("forged attempt, huge", Header::LongLongInt(i64::MAX)),
        forged("forged attempt, 2^32 - 2", Header::LongLongInt(4_294_967_294)),
        forged("forged attempt, negative", Header::LongInt(-7)),
        forged("forged attempt, text", text("many")),
        forged("forged attempt, table", Header::FieldTable(table(&[]))),
        Foreign::headers(
            "forged origin",
            &[
                ("rabbitry-original-exchange", text("nowhere")),
                ("rabbitry-original-routing-key", text("nobody")),
                ("rabbitry-first-failure", text("long ago")),
                ("rabbitry-dropped-headers", text("none")),
            ],
        ),
        Foreign::headers("120 KiB of headers", &[("large", text(&"x".repeat(120 * 1024)))])
            .keeps(&[("large", text(&"x".repeat(120 * 1024)))]),
        Foreign::headers("127 KiB of headers", &[("large", text(&"x".repeat(127 * 1024))), ("small", text("kept"))])
            .keeps(&[("rabbitry-dropped-headers", text("large")), ("small", text("kept"))]),
    ]
}

fn bodies() -> Vec<Foreign> {
    let order = r#"{"order_id":1}"#;
    let cloud =
        json!({ "specversion": "1.0", "id": "1", "source": "/shop", "type": "order", "data": { "order_id": 2 } });
    vec![
        Foreign::body("empty", "", Reads::Nothing),
        Foreign::body("no JSON", "order 1, please", Reads::Nothing),
        Foreign {
            properties: BasicProperties::default().with_expiration("60000".into()),
            ..Foreign::body("no JSON, with an expiration", "order 2, please", Reads::Nothing)
        }
        .keeps(&[("rabbitry-original-expiration", text("60000"))]),
        Foreign::body("half an object", r#"{"order_id":"#, Reads::Nothing),
        Foreign::body("two values", "1 2", Reads::Nothing),
        Foreign::body("no text", b"\xff\xfe\x00\"".to_vec(), Reads::Nothing),
        Foreign::as_is("a number", "42"),
        Foreign::as_is("a text", r#""order""#),
        Foreign::as_is("null", "null"),
        Foreign::as_is("an array", "[1,2]"),
        Foreign::as_is("deep arrays", nested("[", "]", 100_000)),
        Foreign::as_is("deep objects", nested(r#"{"a":"#, "}", 50_000)),
        Foreign::body(
            "an envelope",
            format!(r#"{{"eventType":"order","data":{order}}}"#),
            Reads::Data(order.to_owned()),
        ),
        // One more member, and it is some other kind of object.
        Foreign::as_is("an envelope with more", format!(r#"{{"eventType":"order","data":{order},"more":1}}"#)),
        Foreign::as_is("an envelope without data", r#"{"eventType":"order","metadata":{}}"#),
        Foreign::body(
            "an envelope whose metadata is no object",
            format!(r#"{{"eventType":"order","data":{order},"metadata":[]}}"#),
            Reads::Nothing,
        ),
        Foreign::body(
            "an envelope with deep metadata",
            format!(r#"{{"eventType":"order","data":{order},"metadata":{{"a":{}}}}}"#, nested("[", "]", 1000)),
            Reads::Nothing,
        ),
        Foreign::body("a cloud event", cloud.to_string(), Reads::Something),
    ]
}

/// Checks one dead letter of the handler that always fails.
fn check(foreign: &Foreign, dead: &Raw) {
    let Foreign { what, properties, .. } = foreign;
    let (reason, attempt) = if foreign.reads == Reads::Nothing { ("undecodable", 1) } else { ("error", 2) };
    assert_eq!(dead.text("rabbitry-reason"), reason, "{what}");
    assert_eq!(dead.number("rabbitry-attempt"), Some(attempt), "{what}");
    assert_eq!(dead.text("rabbitry-queue"), "foreign.fails", "{what}");
    for (name, value) in &foreign.kept {
        assert!(dead.header(name) == Some(value), "{what}: `{name}` is {:.200}", dead.text(name));
    }
    for name in ["CC", "BCC", "x-delivery-count", "x-first-death-queue"] {
        // 4.0 counts a delivery of the dead letter itself.
        assert!(dead.header(name).is_none() || dead.number(name) == Some(1), "{what}: {name}");
    }
    assert!(dead.properties.expiration().is_none() && dead.properties.user_id().is_none(), "{what}");
    assert_eq!(*dead.properties.delivery_mode(), Some(2), "{what}");
    assert_eq!(dead.properties.priority(), properties.priority(), "{what}");
    assert_eq!(dead.properties.kind(), properties.kind(), "{what}");
    assert!(!dead.id().is_empty(), "{what}: a copy has an id");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_messages_are_handled_retried_and_dead_lettered_like_others() {
    let broker = TestBroker::new().await;
    // Another user than the messages' own: RabbitMQ refuses a publisher another's name.
    let user = broker.vhost().to_owned();
    broker.add_user(&user, ".*", ".*", ".*").await;
    let seen = Record::default();
    let record = seen.clone();
    let keeps = Subscription::to("order").name("keeps").handler(move |event: AnyEvent| {
        record.add(event.json().to_owned());
        async {}
    });
    // 3 s are two levels of the ladder: before 4.0, a death that is kept from the first ends a message at the second.
    let policy = RetryPolicy::default().attempts(2).immediate(0).first(Duration::from_secs(3)).jitter(0.0);
    let runs = Record::default();
    let record = runs.clone();
    let fails = Subscription::to("order").name("fails").retry(policy).handler(move |event: AnyEvent| {
        record.add((event.json().to_owned(), Instant::now()));
        async { Err::<(), _>("never") }
    });
    let service = Service::new("foreign").broker(broker.url_of(&user)).subscription(keeps).subscription(fails);
    let running = within("starting", service.start()).await.unwrap();
    let client = broker.client().await;
    client.declare_queue("stranger", "events", "stranger").await;
    let connections = broker.connection_ids().await;

    let mut messages = properties();
    messages.extend(bodies());
    // Good ones between them and behind them.
    messages.extend((0..20).map(|i| Foreign::as_is("a good one", json!({ "good": i }).to_string())));
    for foreign in &messages {
        client.publish("events", "order", foreign.properties.clone(), &foreign.body).await;
        // The first expires, and nothing is to keep it waiting.
        seen.wait_for(1).await;
    }
    let dead = client.receive("foreign.fails.dead", messages.len()).await;
    let mut by_body: BTreeMap<&[u8], &Raw> = dead.iter().map(|dead| (&*dead.body, dead)).collect();
    for foreign in &messages {
        let dead = by_body.remove(&*foreign.body).unwrap_or_else(|| panic!("{} is lost", foreign.what));
        check(foreign, dead);
    }
    // None came back early.
    let runs = runs.all();
    for Foreign { what, reads, .. } in &messages {
        let Reads::Data(data) = reads else { continue };
        let at: Vec<Instant> = runs.iter().filter(|(seen, _)| seen == data).map(|(_, at)| *at).collect();
        assert_eq!(at.len(), 2, "{what}");
        assert!(at[1] - at[0] >= Duration::from_secs(3), "{what}: ran again after {:?}", at[1] - at[0]);
    }
    // What could be read was handled once, whatever it was; what could not is dead with the reason.
    let readable = messages.iter().filter(|foreign| foreign.reads != Reads::Nothing).count();
    let mut handled = seen.wait_for(readable).await;
    let unreadable = client.receive("foreign.keeps.dead", messages.len() - readable).await;
    assert!(unreadable.iter().all(|dead| dead.text("rabbitry-reason") == "undecodable"), "{unreadable:?}");
    assert_eq!(broker.connection_ids().await, connections, "no connection was lost");
    stop(running).await;
    handled.sort();
    for foreign in &messages {
        if let Reads::Data(data) = &foreign.reads {
            let place = handled.binary_search(data).unwrap_or_else(|_| panic!("{} was not handled", foreign.what));
            handled.remove(place);
        }
    }
    assert_eq!(handled.len(), 1, "the cloud event");
    assert_eq!(seen.len(), readable, "none came twice");
    // The stranger has the copy that the sender asked for, and none of ours.
    assert_eq!(client.receive("stranger", 1).await.len(), 1);
    Books::settled(&broker, 0).await.balance(2 * messages.len(), 2 * messages.len());
    broker.remove_user(&user).await;
}

/// One at a time, so that what is held up by another would show.
fn one_at_a_time(seen: &Record<i64>) -> Subscription {
    let seen = seen.clone();
    Subscription::to("order").concurrency(1).handler(move |order: Order| {
        seen.add(order.order_id);
        async {}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_dead_at_once() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let seen = Record::default();
    let running = broker.start(Service::new("foreign").body_limit(1000).subscription(one_at_a_time(&seen))).await;
    let padded = |order_id: i64, size: usize| {
        let body = json!({ "order_id": order_id }).to_string();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    let sizes = [1000, 1001, 999, 5_000_000, 20];
    for (order_id, size) in (1..).zip(sizes) {
        let body = padded(order_id, size);
        client.publish("events", "order", BasicProperties::default(), body.as_bytes()).await;
    }
    assert_eq!(seen.wait_for(3).await, [1, 3, 5]);
    let dead = client.receive("foreign.order.dead", 2).await;
    for (dead, size) in dead.iter().zip([1001, 5_000_000]) {
        assert_eq!(dead.body.len(), size);
        assert_eq!(dead.text("rabbitry-reason"), "undecodable");
        assert_eq!(dead.number("rabbitry-attempt"), Some(1));
        let error = dead.text("rabbitry-error");
        assert!(error.contains(&size.to_string()) && error.contains("1000"), "{error}");
    }
    stop(running).await;
    Books::settled(&broker, 0).await.balance(5, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_type_is_dead_and_its_values_stay_unsaid() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let seen = Record::default();
    let running = broker.start(Service::new("foreign").subscription(one_at_a_time(&seen))).await;
    let unfit = [
        r#"{"order_id":"s3cret"}"#.to_owned(),
        r#"{"s3cret":1}"#.to_owned(),
        r#""s3cret""#.to_owned(),
        format!(r#"{{"order_id":{}}}"#, nested(r#"{"s3cret":"#, "}", 50_000)),
    ];
    for (order_id, body) in (1..).zip(&unfit) {
        client.publish("events", "order", BasicProperties::default(), body.as_bytes()).await;
        client.publish_bare("events", "order", "good", &json!({ "order_id": order_id })).await;
    }
    // Of another name, in a queue that is bound for this one.
    client.publish("events", "order", BasicProperties::default().with_type("payment".into()), b"{}").await;
    assert_eq!(seen.wait_for(unfit.len()).await, [1, 2, 3, 4]);
    let dead = client.receive("foreign.order.dead", unfit.len() + 1).await;
    for dead in &dead {
        assert_eq!(dead.text("rabbitry-reason"), "undecodable");
        assert!(!dead.text("rabbitry-error").contains("s3cret"), "{}", dead.text("rabbitry-error"));
    }
    assert!(dead.last().unwrap().text("rabbitry-error").contains("`payment`"));
    stop(running).await;
    Books::settled(&broker, 0).await.balance(9, 9);
}

/// Metadata is read when it is asked for: by an argument, by a publisher, for an event that is returned. Who asks for none is not
/// stopped by what is there.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_cannot_be_read_stops_who_looks_at_it() {
    let broker = TestBroker::new().await;
    let client = broker.client().await;
    let seen = Record::default();
    let record = seen.clone();
    let looks_away = Subscription::to("order").name("looks-away").handler(move |order: Order| {
        record.add(order.order_id);
        async {}
    });
    let looks = Subscription::to("order").name("looks").handler(async |_: Order, _: Metadata| {});
    let publishes = Subscription::to("order").name("publishes").handler(async |_: Order, _: Publisher<Order>| {});
    let returns = Subscription::to("order").name("returns").handler(async |_: Order| None::<Order>);
    let service =
        [looks_away, looks, publishes, returns].into_iter().fold(Service::new("foreign"), Service::subscription);
    let running = broker.start(service).await;
    for (order_id, metadata) in [(1, "[]"), (2, r#"{"a":1e999}"#), (3, r#"{"id":"3"}"#)] {
        let body = format!(r#"{{"eventType":"order","data":{{"order_id":{order_id}}},"metadata":{metadata}}}"#);
        client.publish("events", "order", BasicProperties::default(), body.as_bytes()).await;
    }
    let mut handled = seen.wait_for(3).await;
    handled.sort_unstable();
    assert_eq!(handled, [1, 2, 3]);
    for queue in ["foreign.looks.dead", "foreign.publishes.dead", "foreign.returns.dead"] {
        for dead in client.receive(queue, 2).await {
            assert_eq!(dead.text("rabbitry-reason"), "undecodable", "{queue}");
            let error = dead.text("rabbitry-error");
            assert!(error.contains("an envelope with an object as its `metadata`"), "{queue}: {error}");
        }
    }
    stop(running).await;
    Books::settled(&broker, 0).await;
}
