//! The article's two services, line for line: what its FastAPI code says, in rabbitry.

#![allow(clippy::unused_async, reason = "the article's handlers are async and await nothing")]

use rabbitry_tests::{Books, Record, TestBroker, eventually, within};
use serde_json::{Value, json};

mod orders {
    use axum::{Json, extract::State, http::StatusCode};
    use rabbitry::{AnyEvent, Publisher, event, payload, subscribe};
    use rabbitry_tests::Record;
    use serde_json::{Value, json};

    // class Order(BaseModel):
    #[payload]
    pub(crate) struct Order {
        pub(crate) id: i64,
        pub(crate) customer_id: i64,
        pub(crate) total: f64,
    }

    // class OrderCreatedEvent(BaseModel):
    #[event]
    pub(crate) struct OrderCreatedEvent {
        pub(crate) order_id: i64,
        pub(crate) order: Order,
    }

    // @app.post("/orders/")
    pub(crate) async fn create_order(
        State(publisher): State<Publisher<AnyEvent>>,
        Json(order): Json<Order>,
    ) -> (StatusCode, Json<Value>) {
        let order_created_event = OrderCreatedEvent { order_id: 1, order };
        publisher.publish_value("order_created", &order_created_event, None).await.expect("the broker takes it");
        (StatusCode::CREATED, Json(json!({ "order_id": order_created_event.order_id })))
    }

    // @subscribe("order_created")
    #[subscribe("order_created")]
    pub(crate) async fn handle_order_created_event(
        event: OrderCreatedEvent,
        rabbitry::State(seen): rabbitry::State<Record<i64>>,
    ) {
        seen.add(event.order.id);
    }
}

mod inventory {
    use axum::{Json, http::StatusCode};
    use rabbitry::{event, payload, subscribe};
    use rabbitry_tests::Record;
    use serde_json::{Value, json};

    use super::orders::OrderCreatedEvent;

    // class Product(BaseModel):
    #[payload]
    pub(crate) struct Product {
        pub(crate) id: i64,
        pub(crate) name: String,
        pub(crate) stock: i64,
    }

    // class StockUpdatedEvent(BaseModel):
    #[event]
    pub(crate) struct StockUpdatedEvent {
        pub(crate) product_id: i64,
        pub(crate) product: Product,
        pub(crate) new_stock: i64,
    }

    // @app.post("/products/")
    pub(crate) async fn create_product(Json(product): Json<Product>) -> (StatusCode, Json<Value>) {
        (StatusCode::CREATED, Json(json!({ "product_id": product.id })))
    }

    // @subscribe("order_created")
    #[subscribe("order_created")]
    pub(crate) async fn handle_order_created_event(
        event: OrderCreatedEvent,
        rabbitry::State(seen): rabbitry::State<Record<i64>>,
    ) -> StockUpdatedEvent {
        seen.add(event.order_id);
        let product = Product { id: 7, name: "carrot".to_owned(), stock: 9 };
        StockUpdatedEvent { product_id: product.id, new_stock: product.stock, product }
    }
}

/// Serves on a free port, and returns the address.
async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn post(url: String, body: Value) -> (u16, Value) {
    let request = tokio::task::spawn_blocking(move || {
        let sent = ureq::post(&url).header("content-type", "application/json").send(body.to_string());
        let mut response = sent.unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap())
    });
    within("an answer", request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_article_runs() {
    use axum::routing::post as on_post;
    use rabbitry::{AnyEvent, Service, subscriptions};

    let broker = TestBroker::new().await;
    let (seen_by_orders, seen_by_inventory) = (Record::<i64>::default(), Record::<i64>::default());
    let orders = Service::new("orders")
        .broker(broker.url())
        .state(seen_by_orders.clone())
        .publishes::<AnyEvent>()
        .subscriptions(subscriptions![orders::handle_order_created_event]);
    let inventory = Service::new("inventory")
        .broker(broker.url())
        .state(seen_by_inventory.clone())
        .subscriptions(subscriptions![inventory::handle_order_created_event]);
    let orders = within("starting orders", orders.start()).await.unwrap();
    let inventory = within("starting inventory", inventory.start()).await.unwrap();
    let publisher = orders.publisher::<AnyEvent>().unwrap();
    let app = axum::Router::new().route("/orders/", on_post(orders::create_order)).with_state(publisher);
    let orders_url = serve(app).await;
    let inventory_url = serve(axum::Router::new().route("/products/", on_post(inventory::create_product))).await;

    let product = json!({ "id": 7, "name": "carrot", "stock": 10 });
    assert_eq!(post(format!("{inventory_url}/products/"), product).await, (201, json!({ "product_id": 7 })));
    let order = json!({ "id": 5, "customer_id": 3, "total": 9.5 });
    assert_eq!(post(format!("{orders_url}/orders/"), order).await, (201, json!({ "order_id": 1 })));

    assert_eq!(seen_by_orders.wait_for(1).await, [5]);
    assert_eq!(seen_by_inventory.wait_for(1).await, [1]);
    // Nobody listens to `stock_updated` in the article.
    eventually("stock_updated is published", async || inventory.health().unrouted == 1).await;
    within("stopping orders", orders.shutdown()).await.unwrap();
    within("stopping inventory", inventory.shutdown()).await.unwrap();
    Books::read(&broker).await.balance(2, 2);
}
