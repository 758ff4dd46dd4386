//! The HTTP side: customers place orders and ask what became of them.

use std::collections::BTreeSet;

use axum::{
    Json, Router,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
    routing::{get, post},
};
use contracts::{Order, OrderCreated};
use rabbitry::Publisher;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Orders, Status, refusal::Refusal};

#[derive(Clone)]
struct App {
    orders: Orders,
    publisher: Publisher<OrderCreated>,
}

pub(crate) fn router(orders: Orders, publisher: Publisher<OrderCreated>) -> Router {
    Router::new()
        .route("/orders/", post(create_order))
        .route("/orders/{id}", get(show_order))
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "there is nothing at this path".to_owned()))
        .method_not_allowed_fallback(async || {
            Refusal(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods".to_owned())
        })
        .with_state(App { orders, publisher })
}

/// Keeps the order and tells everybody. Sent again, it tells them again with the same id.
async fn create_order(
    State(app): State<App>,
    body: Result<Json<Order>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let Json(order) = body?;
    check(&order).map_err(|reason| Refusal(StatusCode::UNPROCESSABLE_ENTITY, reason))?;
    let order_id = order.id;
    if !app.orders.place(&order).await? {
        return Err(Refusal(StatusCode::CONFLICT, format!("there is another order {order_id}")));
    }
    app.publisher.event(OrderCreated { order_id, order }).id(event_id(order_id)).publish().await?;
    Ok((StatusCode::CREATED, Json(json!({ "order_id": order_id }))))
}

async fn show_order(
    State(app): State<App>,
    order_id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Status>, Refusal> {
    let Path(order_id) = order_id?;
    let unknown = || Refusal(StatusCode::NOT_FOUND, format!("there is no order {order_id}"));
    app.orders.status(order_id).await?.map(Json).ok_or_else(unknown)
}

/// The id of an order's event: the same each time the same order is sent.
fn event_id(order_id: i64) -> String {
    const ORDERS: Uuid = Uuid::from_u128(0x6c1d_7b3e_2f0a_4d58_9e47_b1c2_53a8_f09d);
    Uuid::new_v5(&ORDERS, &order_id.to_be_bytes()).to_string()
}

/// What the types don't say about an order.
fn check(order: &Order) -> Result<(), String> {
    let number = |name: &str, value: i64| {
        if value > 0 { Ok(()) } else { Err(format!("{name} is {value}: numbers start at 1")) }
    };
    number("id", order.id)?;
    number("customer_id", order.customer_id)?;
    if order.total < 0.0 {
        return Err(format!("total is {}: it cannot be negative", order.total));
    }
    let mut seen = BTreeSet::new();
    for item in &order.items {
        number("product_id", item.product_id)?;
        if item.quantity == 0 {
            return Err(format!("quantity of product {} is 0: leave it out", item.product_id));
        }
        if !seen.insert(item.product_id) {
            return Err(format!("product {} is there twice: add up its quantities", item.product_id));
        }
    }
    Ok(())
}
