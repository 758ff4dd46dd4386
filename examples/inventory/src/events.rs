//! What the service listens to, and what it says.

use contracts::{OrderCreated, StockAnswer, StockRejected, StockReserved, StockUpdated};
use rabbitry::{Service, State, subscribe, subscriptions};

use crate::{Stock, Taken};

/// The service, without its state and broker.
#[must_use]
pub fn service() -> Service {
    Service::new("inventory").subscriptions(subscriptions![reserve_stock])
}

/// Take what was ordered out of stock.
#[subscribe("order_created", retry(attempts = 6, first = "1s", factor = 4))]
async fn reserve_stock(
    event: OrderCreated,
    State(stock): State<Stock>,
) -> Result<(Vec<StockUpdated>, StockAnswer), sqlx::Error> {
    let order_id = event.order_id;
    Ok(match stock.take(order_id, &event.order.items).await? {
        Taken::All(updates) => (updates, StockAnswer::Reserved(StockReserved { order_id })),
        Taken::Nothing(reason) => (Vec::new(), StockAnswer::Rejected(StockRejected { order_id, reason })),
    })
}
