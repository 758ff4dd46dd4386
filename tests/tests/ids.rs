//! Ids: what follows from its cause has the same each time, and everything else one of its own.

use std::collections::BTreeSet;

use rabbitry::{
    AnyEvent, Metadata, Publisher, QueueType, Service, Subscription, event, testing,
    transport::{Message, Properties},
};
use rabbitry_tests::{Books, Record, Stranger, id, json as content, on_both, stop};
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
async fn said(stranger: &Stranger, handlers: usize) -> Vec<(String, String)> {
    let mut said: Vec<(String, String)> = Vec::new();
    for message in stranger.take("said", 4 * handlers).await {
        let metadata = &content(&message)["metadata"];
        let what = format!("{} {} {}", metadata["source"], message.routing_key, metadata["key"]);
        said.push((what, id(&message)));
    }
    said.sort();
    said
}

async fn listener(test: &testing::Test) -> Stranger {
    let stranger = Stranger::on(&test.broker()).await;
    for name in ["stock_updated", "mail_wanted"] {
        stranger.declare_queue("said", QueueType::Classic, "events", name).await;
    }
    stranger
}

on_both! {
async fn a_cause_that_comes_again_says_the_same_again(place: Place) {
    let mut test = testing::start_on(place, sayer("inventory", "reserve")).await;
    let stranger = listener(&test).await;
    stranger.publish_bare("events", "order", "order-1", &json!(1)).await;
    let first = said(&stranger, 1).await;
    stranger.publish_bare("events", "order", "order-1", &json!(1)).await;
    assert_eq!(said(&stranger, 1).await, first);
    stop(test.take(0)).await;
    // Another process, and the name in the envelope instead of the properties.
    test.start_another(sayer("inventory", "reserve")).await;
    let enveloped = json!({ "eventType": "order", "data": 1, "metadata": { "id": "order-1" } });
    stranger.publish("events", "order", Properties::default(), enveloped.to_string().as_bytes()).await;
    assert_eq!(said(&stranger, 1).await, first);
    let ids: BTreeSet<&String> = first.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 4, "each of them has another: {first:?}");
    for id in ids {
        assert_eq!(Uuid::parse_str(id).unwrap().get_version_num(), 5);
    }
    // Another cause says others, though all else is equal.
    stranger.publish_bare("events", "order", "order-2", &json!(1)).await;
    let other = said(&stranger, 1).await;
    assert!(first.iter().zip(&other).all(|(first, other)| first.0 == other.0 && first.1 != other.1));
    Books::after(test).await.balance(4, 4);
}

async fn handlers_of_one_name_say_things_of_their_own(place: Place) {
    // Beside it another handler of the same service.
    let release = Subscription::to("order").name("release").handler(|_: AnyEvent| async { say() });
    let services = [sayer("inventory", "reserve"), sayer("billing", "reserve").subscription(release)];
    let test = testing::start_on(place, services).await;
    let stranger = listener(&test).await;
    stranger.publish_bare("events", "order", "order-1", &json!(1)).await;
    let first = said(&stranger, 3).await;
    let ids: BTreeSet<&String> = first.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 12, "{first:?}");
    stranger.publish_bare("events", "order", "order-1", &json!(1)).await;
    assert_eq!(said(&stranger, 3).await, first);
    Books::after(test).await.balance(6, 6);
}

/// A cause without an id gives its events one all the same; a copy of it has one from then on.
async fn a_cause_without_an_id_gets_one(place: Place) {
    let test = testing::start_on(place, sayer("inventory", "reserve")).await;
    let stranger = listener(&test).await;
    let nameless = || Properties { message_id: Some("".into()), ..Properties::default() };
    stranger.publish("events", "order", nameless(), b"1").await;
    let first = stranger.take("said", 4).await;
    stranger.publish("events", "order", nameless(), b"1").await;
    let second = stranger.take("said", 4).await;
    let causes = |said: &[Message]| -> BTreeSet<String> {
        let cause = |message| content(message)["metadata"]["causationId"].as_str().unwrap().to_owned();
        said.iter().map(cause).collect()
    };
    let (first_causes, second_causes) = (causes(&first), causes(&second));
    assert_eq!((first_causes.len(), second_causes.len()), (1, 1), "one run says one cause");
    assert!(first_causes.is_disjoint(&second_causes), "an empty id makes nothing equal");
    let ids: BTreeSet<String> = first.iter().chain(&second).map(id).collect();
    assert_eq!(ids.len(), 8);
    Books::after(test).await.balance(2, 2);
}

async fn publishers_number_by_time(place: Place) {
    let shop = Service::new("shop").publishes::<StockUpdated>().publishes::<AnyEvent>();
    let test = testing::start_on(place, shop).await;
    let stranger = listener(&test).await;
    let typed = test.running(0).publisher::<StockUpdated>().unwrap();
    let dynamic: Publisher<AnyEvent> = test.running(0).publisher().unwrap();
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(typed.publish(StockUpdated { item: 1 }).await.unwrap().id().to_owned());
        ids.push(dynamic.publish_value("mail_wanted", json!({ "item": 1 }), None).await.unwrap().id().to_owned());
    }
    assert!(ids.is_sorted(), "{ids:?}");
    let received = stranger.take("said", 20).await;
    assert_eq!(received.iter().map(id).collect::<Vec<_>>(), ids);
    for message in &received {
        let id = id(message);
        assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 7);
        let metadata = &content(message)["metadata"];
        assert_eq!(metadata["id"], id);
        // Where something begins, it correlates with itself and has no cause.
        assert_eq!(metadata["correlationId"], id);
        assert_eq!(message.properties.correlation_id, Some(id.into()));
        assert_eq!(metadata.get("causationId"), None);
    }
    Books::after(test).await.balance(20, 20);
}

/// Orders, inventory, shipping: each says one thing of what it hears.
async fn one_correlation_and_a_chain_of_causes_over_three_services(place: Place) {
    let heard = Record::<Metadata>::default();
    let passes_on = |service: &str, from: &'static str, to: &'static str| {
        let heard = heard.clone();
        Service::new(service).publishes::<AnyEvent>().subscribe(from, move |_: AnyEvent, metadata: Metadata| {
            heard.add(metadata);
            async move { AnyEvent::new(to, &json!({})) }
        })
    };
    let services = [
        passes_on("orders", "placed", "created"),
        passes_on("inventory", "created", "reserved"),
        passes_on("shipping", "reserved", "shipped"),
    ];
    let test = testing::start_on(place, services).await;
    let stranger = Stranger::on(&test.broker()).await;
    stranger.declare_queue("shipped", QueueType::Classic, "events", "shipped").await;
    let publisher = test.running(0).publisher::<AnyEvent>().unwrap();
    let placed = publisher.publish_value("placed", json!({}), None).await.unwrap();
    let shipped = stranger.take("shipped", 1).await.remove(0);
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
    let metadata = &content(&shipped)["metadata"];
    assert_eq!(metadata["causationId"].as_str(), chain[2].id());
    assert_eq!(metadata["correlationId"].as_str(), Some(placed.id()));
    assert_eq!(metadata["source"], "shipping");
    Books::after(test).await.balance(4, 4);
}
}
