//! What the macros accept, as users write it, with every lint on.

#![deny(warnings, missing_docs, clippy::pedantic)]

use std::collections::BTreeMap;

use rabbitry::{
    AnyEvent, Attempt, Event, EventSet, EventType, Events, HandlerDef, HandlerError, Metadata, State, Subscription,
    Subscriptions, event, payload, subscribe, subscriptions,
};

/// A customer placed an order.
#[event("order_created", version = 2, exchange = "orders")]
#[derive(Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OrderCreated {
    /// The order.
    #[key]
    pub order_id: i64,
    /// What it is paid with.
    #[sensitive]
    pub card: String,
    /// What was ordered, by article.
    #[serde(default)]
    pub items: BTreeMap<String, Item>,
    /// A raw identifier.
    pub r#type: Kind,
    /// Not on this machine.
    #[cfg(any())]
    #[sensitive]
    pub gone: DoesNotExist,
}

/// A customer cancelled an order.
#[event]
#[derive(Clone)]
pub struct OrderCancelledEvent {
    /// The order, if it was known.
    #[key]
    pub order_id: Option<OrderId>,
}

/// The shop opened: an event without data.
#[event]
pub struct ShopOpened {}

/// One line of an order.
#[payload]
#[derive(Clone, PartialEq)]
pub struct Item {
    /// How many.
    pub count: u32,
    /// A page of notes.
    pub notes: Page<String>,
}

/// A generic part of an event.
#[payload]
#[derive(Clone, PartialEq)]
pub struct Page<T>
where
    T: Clone,
{
    /// What is on it.
    pub of: Vec<T>,
}

/// How an order came in.
#[payload]
#[derive(Clone, PartialEq)]
pub enum Kind {
    /// In the shop.
    Shop,
    /// On the phone.
    Phone(String, #[sensitive] String),
    /// On the web.
    Web {
        /// From where.
        address: String,
        /// With what.
        #[sensitive]
        password: String,
    },
}

/// A key of its own type.
#[payload]
#[derive(Clone, PartialEq)]
pub struct OrderId(pub u64);

impl rabbitry::Key for OrderId {
    fn key(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(format!("order-{}", self.0).into())
    }
}

/// A payload that no one can make.
#[payload]
pub enum Never {}

/// What happens to orders.
#[derive(Debug, EventSet)]
pub enum OrderEvent {
    /// One was placed.
    Created(OrderCreated),
    /// One was cancelled.
    Cancelled(OrderCancelledEvent),
}

fn order(order_id: i64) -> OrderCreated {
    OrderCreated { order_id, card: "4111".into(), items: BTreeMap::new(), r#type: Kind::Shop }
}

#[test]
fn an_event_has_the_name_version_exchange_and_key_that_it_was_given() {
    assert_eq!((OrderCreated::NAME, OrderCreated::VERSION), ("order_created", 2));
    assert_eq!(OrderCreated::EXCHANGE, Some("orders"));
    assert_eq!(Event::key(&order(7)).as_deref(), Some("7"));

    assert_eq!((OrderCancelledEvent::NAME, OrderCancelledEvent::VERSION), ("order_cancelled", 1));
    assert_eq!(OrderCancelledEvent::EXCHANGE, None);
    assert_eq!(Event::key(&OrderCancelledEvent { order_id: Some(OrderId(7)) }).as_deref(), Some("order-7"));
    assert_eq!(Event::key(&OrderCancelledEvent { order_id: None }), None);

    assert_eq!(ShopOpened::NAME, "shop_opened");
    assert_eq!(Event::key(&ShopOpened {}), None);
}

#[test]
fn an_event_is_json_with_the_names_that_serde_was_told() {
    let json = serde_json::to_value(order(7)).unwrap();
    assert_eq!(json, serde_json::json!({ "orderId": 7, "card": "4111", "items": {}, "type": "Shop" }));
    let read: OrderCreated =
        serde_json::from_value(serde_json::json!({ "orderId": 7, "card": "4111", "type": "Shop" })).unwrap();
    assert!(read == order(7));
    assert_eq!(serde_json::to_value(ShopOpened {}).unwrap(), serde_json::json!({}));
}

#[test]
fn an_event_has_a_schema_with_its_documentation() {
    let schema = EventType::of::<OrderCreated>().schema().unwrap();
    let schema = schema.as_value();
    assert_eq!(schema["description"], "A customer placed an order.");
    assert_eq!(schema["properties"]["orderId"]["description"], "The order.");
}

#[test]
fn debug_masks_what_is_sensitive() {
    let mut order = order(7);
    let shown = "OrderCreated { order_id: 7, card: ***, items: {}, type: Shop }";
    assert_eq!(format!("{order:?}"), shown);
    order.r#type = Kind::Phone("555".into(), "secret".into());
    assert_eq!(format!("{:?}", order.r#type), "Phone(\"555\", ***)");
    order.r#type = Kind::Web { address: "::1".into(), password: "secret".into() };
    assert_eq!(format!("{:?}", order.r#type), "Web { address: \"::1\", password: *** }");
    assert_eq!(format!("{:?}", Page { of: vec![1] }), "Page { of: [1] }");
    assert_eq!(format!("{:?}", ShopOpened {}), "ShopOpened");
}

#[test]
fn a_set_holds_its_events() {
    let Events::Of(events) = OrderEvent::EVENTS else { panic!("a set of all") };
    let names: Vec<_> = events.iter().map(|event| (&*event.name, event.version)).collect();
    assert_eq!(names, [("order_created", 2), ("order_cancelled", 1)]);

    let event = OrderEvent::Cancelled(OrderCancelledEvent { order_id: Some(OrderId(7)) });
    assert_eq!(event.event_type().name, "order_cancelled");
    assert_eq!(event.key().as_deref(), Some("order-7"));
    let mut json = Vec::new();
    event.encode(&mut json).unwrap();
    assert_eq!(json, br#"{"order_id":7}"#);
}

pub mod handlers {
    //! All forms that a handler can have; the list of this module is exactly they.

    use super::{
        AnyEvent, Attempt, HandlerError, Item, Metadata, OrderCancelledEvent, OrderCreated, OrderEvent, State,
        Subscriptions, subscribe, subscriptions,
    };
    use rabbitry::State as Given;

    /// An alias of an event.
    pub type Created = OrderCreated;
    /// An alias of a result.
    pub type Handled<T = ()> = Result<T, HandlerError>;

    /// A handler without anything special.
    #[subscribe("order_created")]
    pub async fn plain(event: OrderCreated) {
        std::future::ready(event).await;
    }

    /// All extractors, one under another name, with patterns and `mut`.
    ///
    /// # Errors
    /// The event is a trap.
    #[subscribe(
        "order_created",
        retry(attempts = 6, immediate = 0, first = "2s", factor = 1.5, max = "1h", jitter = 0.5)
    )]
    pub async fn with_everything(
        OrderCreated { order_id, .. }: Created,
        Given(mut count): Given<u32>,
        State(_): State<String>,
        metadata: Metadata,
        _: Attempt,
    ) -> Handled<Vec<OrderCancelledEvent>> {
        count += 1;
        std::future::ready(()).await;
        if metadata.id().is_none() || order_id == i64::from(count) {
            return Err(HandlerError::reject("a trap"));
        }
        Ok(Vec::new())
    }

    /// A set, named events, and a name of its own.
    #[subscribe(
        "order_created",
        "order_cancelled",
        name = "orders",
        concurrency = 4,
        prefetch = 16,
        timeout = "1m 30s"
    )]
    async fn of_a_set(event: OrderEvent) -> (Option<OrderEvent>, Vec<OrderCreated>) {
        (std::future::ready(Some(event)).await, Vec::new())
    }

    /// Patterns, and everything of a queue that is there already.
    #[subscribe(
        "order.*",
        "#.failed",
        queue = "audit.in",
        queue_type = "existing",
        exchange = "legacy",
        format = bare,
        undecodable = retry,
        reject_if = std::fmt::Error::eq_default,
    )]
    pub(crate) async fn of_patterns(event: AnyEvent) -> Result<(), std::fmt::Error> {
        std::future::ready(event).await;
        Err(std::fmt::Error)
    }

    trait EqDefault {
        fn eq_default(&self) -> bool;
    }

    impl EqDefault for std::fmt::Error {
        fn eq_default(&self) -> bool {
            *self == Self
        }
    }

    /// A function that blocks, named by a raw identifier.
    #[subscribe("order_cancelled", blocking)]
    #[must_use]
    pub fn r#move(event: OrderCancelledEvent) -> Option<OrderCancelledEvent> {
        Some(event)
    }

    /// A function that returns a future.
    ///
    /// # Errors
    /// Always.
    #[subscribe("#", broadcast)]
    pub fn future(event: AnyEvent) -> impl Future<Output = Result<(), String>> + Send {
        std::future::ready(Err(event.name().to_owned()))
    }

    /// A function that returns a boxed future.
    #[subscribe("order_created", reject_if = |_: &std::fmt::Error| true)]
    #[must_use]
    pub fn boxed(_: OrderCreated) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {})
    }

    /// Not in this build: neither the function nor its registration.
    #[subscribe("order_created")]
    #[cfg(any())]
    async fn gone(event: DoesNotExist) {}

    /// A name that the expansion might have used for itself.
    #[subscribe("order_created")]
    #[allow(clippy::unused_async)]
    async fn subscription(_event: OrderCreated) {}

    /// Deprecated, but a handler still.
    #[deprecated = "for the test"]
    #[subscribe("order_created")]
    pub async fn deprecated(event: OrderCreated) -> Option<OrderCreated> {
        std::future::ready(None).await.or(Some(event))
    }

    pub mod below {
        //! A module below is found too.

        use super::super::{AnyEvent, Subscriptions, subscribe, subscriptions};

        /// A handler below.
        #[subscribe("shop_opened")]
        async fn nested(event: AnyEvent) {
            std::future::ready(event).await;
        }

        /// Only what is below.
        #[must_use]
        pub fn all() -> Subscriptions {
            subscriptions!()
        }

        /// By paths of all kinds.
        #[must_use]
        pub fn listed() -> Subscriptions {
            subscriptions![nested, super::plain, nested2, crate::handlers::r#move,]
        }

        use nested as nested2;
    }

    /// Everything at and below this module.
    #[must_use]
    pub fn all() -> Subscriptions {
        subscriptions!()
    }

    /// Used by no handler.
    #[must_use]
    pub fn item(item: Item) -> Item {
        item
    }
}

pub mod handlers_and_more {
    //! A module whose name begins like another's.

    use super::{AnyEvent, subscribe};

    /// Not in the list of `handlers`.
    #[subscribe("shop_opened")]
    async fn elsewhere(event: AnyEvent) {
        std::future::ready(event).await;
    }
}

pub mod without_handlers {
    //! Nothing is subscribed here.

    use super::{Subscriptions, subscriptions};

    /// An empty list.
    #[must_use]
    pub fn all() -> Subscriptions {
        subscriptions!()
    }
}

fn names(subscriptions: Subscriptions) -> Vec<String> {
    let shown = subscriptions.into_iter().map(|subscription| format!("{subscription:?}"));
    let name = |shown: String| shown.split("name: \"").nth(1)?.split('"').next().map(str::to_owned);
    shown.filter_map(name).collect()
}

#[test]
fn a_module_lists_its_own_handlers_and_those_below_it() {
    let mut found = names(handlers::all());
    found.sort();
    let all = [
        "boxed",
        "deprecated",
        "future",
        "move",
        "nested",
        "of_patterns",
        "orders",
        "plain",
        "subscription",
        "with_everything",
    ];
    assert_eq!(found, all);
    assert_eq!(names(handlers::below::all()), ["nested"]);
    assert!(names(without_handlers::all()).is_empty());
}

#[test]
fn a_list_has_the_handlers_that_it_names_in_their_order() {
    assert_eq!(names(subscriptions![handlers::r#move, handlers::plain,]), ["move", "plain"]);
    let listed = handlers::below::listed();
    assert_eq!(names(listed), ["nested", "plain", "nested", "move"]);
}

#[test]
fn a_subscription_has_the_names_and_the_policy_that_the_attribute_says() {
    let shown = format!("{:?}", <handlers::with_everything as HandlerDef>::subscription());
    let by_hand = Subscription::to("order_created")
        .name("with_everything")
        .retry(
            rabbitry::RetryPolicy::default()
                .attempts(6)
                .immediate(0)
                .first(std::time::Duration::from_secs(2))
                .factor(1.5)
                .max(std::time::Duration::from_secs(3600))
                .jitter(0.5),
        )
        .handler(handlers::with_everything);
    assert_eq!(shown, format!("{by_hand:?}"));
    let shown = format!("{:?}", <handlers::of_patterns as HandlerDef>::subscription());
    assert!(shown.contains(r##"names: ["order.*", "#.failed"]"##), "{shown}");
}

#[test]
fn a_handler_is_an_ordinary_function() {
    let event = OrderCancelledEvent { order_id: Some(OrderId(7)) };
    assert!(handlers::r#move(event).is_some());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(handlers::plain(order(7)));
    let said = runtime.block_on(handlers::future(AnyEvent::new("order_created", &7).unwrap()));
    assert_eq!(said, Err("order_created".to_owned()));
    assert_eq!(handlers::item(Item { count: 1, notes: Page { of: Vec::new() } }).count, 1);
}

pub mod renamed {
    //! rabbitry under another name, as a crate that re-exports it gives it to its users.

    pub mod house {
        //! What the others of a house use.
        pub use rabbitry as messaging;
    }

    use house::messaging::{AnyEvent, EventSet, Subscriptions, event, payload, subscribe, subscriptions};

    /// A path as it is written.
    #[event("renamed_created", crate = house::messaging)]
    pub struct Created {
        /// A payload.
        pub part: Part,
        /// A key.
        #[key]
        pub id: u8,
    }

    /// A path as a text.
    #[payload(crate = "house::messaging")]
    pub struct Part {
        /// A field.
        pub count: u8,
    }

    /// A set.
    #[derive(Debug, EventSet)]
    #[event_set(crate = crate::renamed::house::messaging)]
    pub enum Either {
        /// An event.
        Created(Created),
    }

    /// A handler.
    #[subscribe("renamed_created", crate = self::house::messaging)]
    async fn take(event: Either) {
        std::future::ready(event).await;
    }

    /// A handler of all.
    #[subscribe("#", crate = house::messaging)]
    async fn audit(event: AnyEvent) {
        std::future::ready(event).await;
    }

    /// A list.
    #[must_use]
    pub fn listed() -> Subscriptions {
        subscriptions![crate = house::messaging, take]
    }

    /// All.
    #[must_use]
    pub fn all() -> Subscriptions {
        subscriptions!(crate = house::messaging)
    }
}

#[test]
fn rabbitry_can_have_another_name() {
    assert_eq!(names(renamed::listed()), ["take"]);
    assert_eq!(names(renamed::all()), ["audit", "take"]);
}

#[test]
fn a_handler_can_be_inside_a_function() {
    /// Known here only.
    #[event]
    struct Local {
        #[key]
        id: u8,
    }

    #[derive(EventSet)]
    enum Locals {
        Local(Local),
    }

    #[subscribe("local")]
    async fn handle(event: Locals) {
        std::future::ready(event).await;
    }

    assert_eq!(names(subscriptions![handle]), ["handle"]);
    assert_eq!(Locals::Local(Local { id: 7 }).key().as_deref(), Some("7"));
}

pub mod by_macro {
    //! Events and handlers that a macro of the user's writes.

    use super::{EventSet, event, subscribe};

    macro_rules! declare {
        ($event:ident, $name:literal, $key:ty, $handler:ident) => {
            /// An event.
            #[event($name)]
            pub struct $event {
                /// Its key.
                #[key]
                pub id: $key,
            }

            /// A set.
            #[derive(Debug, EventSet)]
            pub enum Set {
                /// The event.
                Only($event),
            }

            /// A handler.
            #[subscribe($name, retry(attempts = 3))]
            pub async fn $handler(event: Set) {
                std::future::ready(event).await;
            }
        };
    }

    declare!(Made, "made", u8, on_made);
}

pub mod shadowed {
    //! A module where the names of the standard library mean something else.

    use super::{EventSet, event, subscribe};

    /// Not the standard library.
    pub mod std {}
    /// Not the core.
    pub mod core {}
    /// No option.
    #[derive(Debug)]
    pub struct Option;
    /// No vector.
    #[derive(Debug)]
    pub struct Vec;
    /// No text.
    #[derive(Debug)]
    pub struct String;
    /// No result.
    #[derive(Debug)]
    pub struct Result;

    /// An event.
    #[event]
    pub struct Shadowed {
        /// Its key.
        #[key]
        pub id: u8,
    }

    /// A set.
    #[derive(Debug, EventSet)]
    pub enum Set {
        /// The event.
        Only(Shadowed),
    }

    /// A handler.
    #[subscribe("shadowed", timeout = "1s")]
    pub async fn on_shadowed(event: Set) {
        ::std::future::ready(event).await;
    }
}

#[test]
fn names_of_others_and_macros_of_others_do_not_matter() {
    assert_eq!(names(subscriptions![by_macro::on_made, shadowed::on_shadowed]), ["on_made", "on_shadowed"]);
    assert_eq!(Event::key(&by_macro::Made { id: 7 }).as_deref(), Some("7"));
}
