//! What the service listens to, and what it says.

use contracts::{OrderCreated, StockAnswer};
use rabbitry::{Service, State, subscribe, subscriptions};

use crate::Orders;

/// The service, without its state and broker.
#[must_use]
pub fn service() -> Service {
    Service::new("orders")
        .publishes::<OrderCreated>()
        // A customer waits for it.
        .publish_timeout("5s")
        .subscriptions(subscriptions![record_order, settle_order])
}

/// Keep every order, whoever took it.
#[subscribe("order_created")]
async fn record_order(event: OrderCreated, State(orders): State<Orders>) -> Result<(), sqlx::Error> {
    if !orders.place(&event.order).await? {
        tracing::warn!(event.order_id, "two orders have this number; the first one counts");
    }
    Ok(())
}

/// Confirm or reject an order.
#[subscribe("stock_reserved", "stock_rejected")]
async fn settle_order(answer: StockAnswer, State(orders): State<Orders>) -> Result<(), sqlx::Error> {
    orders.settle(&answer).await
}
