//! Ids: what follows from its cause has the same each time, and everything else one of its own.

use std::collections::BTreeSet;

use rabbitry::{AnyEvent, Metadata, Publisher, Service, Subscription, event};
use rabbitry_tests::{Books, Client, Raw, Record, TestBroker, stop};
use serde_json::json;
use uuid::Uuid;

#[event("stock_updated")]
struct StockUpdated {
    #[key]
    item: i64,
}

#[event("mail_wanted")]
struct MailWanted {
    #[key]
    item: i64,
}

type Said = (Vec<StockUpdated>, MailWanted);

/// Two of one name and key, one of another key, and one of another name.
fn say() -> Said {
    ([1, 1, 2].map(|item| StockUpdated { item }).into(), MailWanted { item: 1 })
}

fn sayer(service: &str, handler: &str) -> Service {
    let subscription = Subscription::to("order").name(handler).handler(|_: AnyEvent| async { say() });
    Service::new(service).subscription(subscription)
}

/// What was said next, four at a time: who said it, its name and key, and its id. They come in any order.
async fn said(client: &Client, handlers: usize) -> Vec<(String, String)> {
    let mut said: Vec<(String, String)> = Vec::new();
    for raw in client.receive("said", 4 * handlers).await {
        let metadata = &raw.json()["metadata"];
        let what = format!("{} {} {}", metadata["source"], raw.routing_key, metadata["key"]);
        said.push((what, raw.id()));
    }
    said.sort();
    said
}

async fn listener(broker: &TestBroker) -> Client {
    let client = broker.client().await;
    for name in ["stock_updated", "mail_wanted"] {
        client.declare_queue("said", "events", name).await;
    }
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_that_comes_again_says_the_same_again() {
    let broker = TestBroker::new().await;
    let inventory = broker.start(sayer("inventory", "reserve")).await;
    let client = listener(&broker).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    let first = said(&client, 1).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    assert_eq!(said(&client, 1).await, first);
    stop(inventory).await;
    // Another process, and the name in the envelope instead of the properties.
    let inventory = broker.start(sayer("inventory", "reserve")).await;
    let body = json!({ "eventType": "order", "data": 1, "metadata": { "id": "order-1" } });
    client.publish("events", "order", lapin::BasicProperties::default(), body.to_string().as_bytes()).await;
    assert_eq!(said(&client, 1).await, first);
    let ids: BTreeSet<&String> = first.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 4, "each of them has another: {first:?}");
    for id in ids {
        assert_eq!(Uuid::parse_str(id).unwrap().get_version_num(), 5);
    }
    // Another cause says others, though all else is equal.
    client.publish_bare("events", "order", "order-2", &json!(1)).await;
    let other = said(&client, 1).await;
    assert!(first.iter().zip(&other).all(|(first, other)| first.0 == other.0 && first.1 != other.1));
    stop(inventory).await;
    Books::settled(&broker, 0).await.balance(4, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_of_one_name_say_things_of_their_own() {
    let broker = TestBroker::new().await;
    let inventory = broker.start(sayer("inventory", "reserve")).await;
    // Beside it another handler of the same service.
    let release = Subscription::to("order").name("release").handler(|_: AnyEvent| async { say() });
    let billing = broker.start(sayer("billing", "reserve").subscription(release)).await;
    let client = listener(&broker).await;
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    let first = said(&client, 3).await;
    let ids: BTreeSet<&String> = first.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 12, "{first:?}");
    client.publish_bare("events", "order", "order-1", &json!(1)).await;
    assert_eq!(said(&client, 3).await, first);
    stop(inventory).await;
    stop(billing).await;
    Books::settled(&broker, 0).await.balance(6, 6);
}

/// A cause without an id gives its events one all the same; a copy of it has one from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_cause_without_an_id_gets_one() {
    let broker = TestBroker::new().await;
    let running = broker.start(sayer("inventory", "reserve")).await;
    let client = listener(&broker).await;
    let nameless = || lapin::BasicProperties::default().with_message_id("".into());
    client.publish("events", "order", nameless(), b"1").await;
    let first = client.receive("said", 4).await;
    client.publish("events", "order", nameless(), b"1").await;
    let second = client.receive("said", 4).await;
    let causes = |said: &[Raw]| -> BTreeSet<String> {
        said.iter().map(|raw| raw.json()["metadata"]["causationId"].as_str().unwrap().to_owned()).collect()
    };
    let (first_causes, second_causes) = (causes(&first), causes(&second));
    assert_eq!((first_causes.len(), second_causes.len()), (1, 1), "one run says one cause");
    assert!(first_causes.is_disjoint(&second_causes), "an empty id makes nothing equal");
    let ids: BTreeSet<String> = first.iter().chain(&second).map(Raw::id).collect();
    assert_eq!(ids.len(), 8);
    stop(running).await;
    Books::settled(&broker, 0).await.balance(2, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_number_by_time() {
    let broker = TestBroker::new().await;
    let running = broker.start(Service::new("shop").publishes::<StockUpdated>().publishes::<AnyEvent>()).await;
    let client = listener(&broker).await;
    let typed = running.publisher::<StockUpdated>().unwrap();
    let dynamic: Publisher<AnyEvent> = running.publisher().unwrap();
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(typed.publish(StockUpdated { item: 1 }).await.unwrap().id().to_owned());
        ids.push(dynamic.publish_value("mail_wanted", json!({ "item": 1 }), None).await.unwrap().id().to_owned());
    }
    assert!(ids.is_sorted(), "{ids:?}");
    let received = client.receive("said", 20).await;
    assert_eq!(received.iter().map(Raw::id).collect::<Vec<_>>(), ids);
    for raw in &received {
        assert_eq!(Uuid::parse_str(&raw.id()).unwrap().get_version_num(), 7);
        let metadata = &raw.json()["metadata"];
        assert_eq!(metadata["id"], raw.id());
        // Where something begins, it correlates with itself and has no cause.
        assert_eq!(metadata["correlationId"], raw.id());
        assert_eq!(raw.properties.correlation_id().as_ref().unwrap().as_str(), raw.id());
        assert_eq!(metadata.get("causationId"), None);
    }
    stop(running).await;
    Books::settled(&broker, 0).await.balance(20, 20);
}

/// Orders, inventory, shipping: each says one thing of what it hears.
#[tokio::test(flavor = "multi_thread")]
async fn one_correlation_and_a_chain_of_causes_over_three_services() {
    let broker = TestBroker::new().await;
    let heard = Record::<Metadata>::default();
    let passes_on = |service: &str, from: &'static str, to: &'static str| {
        let heard = heard.clone();
        Service::new(service).publishes::<AnyEvent>().subscribe(from, move |_: AnyEvent, metadata: Metadata| {
            heard.add(metadata);
            async move { AnyEvent::new(to, &json!({})) }
        })
    };
    let orders = broker.start(passes_on("orders", "placed", "created")).await;
    let inventory = broker.start(passes_on("inventory", "created", "reserved")).await;
    let shipping = broker.start(passes_on("shipping", "reserved", "shipped")).await;
    let client = broker.client().await;
    client.declare_queue("shipped", "events", "shipped").await;
    let publisher = orders.publisher::<AnyEvent>().unwrap();
    let placed = publisher.publish_value("placed", json!({}), None).await.unwrap();
    let shipped = client.receive("shipped", 1).await.remove(0);
    let chain = heard.wait_for(3).await;
    assert_eq!(chain[0].id(), Some(placed.id()));
    assert_eq!(chain[0].causation_id(), None);
    for pair in chain.windows(2) {
        assert_eq!(pair[1].causation_id(), pair[0].id());
        assert_ne!(pair[1].id(), pair[0].id());
    }
    assert!(chain.iter().all(|metadata| metadata.correlation_id() == Some(placed.id())), "{chain:?}");
    let sources: Vec<_> = chain.iter().map(|metadata| metadata.source().unwrap_or_default()).collect();
    assert_eq!(sources, ["orders", "orders", "inventory"]);
    let metadata = &shipped.json()["metadata"];
    assert_eq!(metadata["causationId"].as_str(), chain[2].id());
    assert_eq!(metadata["correlationId"].as_str(), Some(placed.id()));
    assert_eq!(metadata["source"], "shipping");
    for running in [orders, inventory, shipping] {
        stop(running).await;
    }
    Books::settled(&broker, 0).await.balance(4, 4);
}
