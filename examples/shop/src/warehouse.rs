//! The warehouse, a third service: sends parcels, and says what to buy again. It lives in the shop alone.

use std::time::Duration;

use contracts::{StockReserved, StockUpdated};
use rabbitry::{Attempt, Service, State, subscribe, subscriptions};
use thiserror::Error;

/// The service, without its broker.
#[must_use]
pub fn service() -> Service {
    Service::new("warehouse").state(Carrier).subscriptions(subscriptions![send_parcel, reorder])
}

/// Have a carrier take what an order asks for.
#[subscribe("stock_reserved", retry(attempts = 4, first = "1s", factor = 2), reject_if = NotTaken::is_final)]
async fn send_parcel(event: StockReserved, attempt: Attempt, State(carrier): State<Carrier>) -> Result<(), NotTaken> {
    carrier.take(event.order_id, attempt.number).await
}

/// Say which product will soon be sold out.
#[subscribe("stock_updated")]
#[expect(clippy::unused_async, reason = "a log is all that there is to wait for")]
async fn reorder(event: StockUpdated) {
    if event.new_stock < 3 {
        tracing::info!("product {} ({}): only {} left", event.product_id, event.product.name, event.new_stock);
    }
}

/// A stand-in for a carrier's API, which fails as such things do. The last digit of an order's number says how:
///
/// | last digit | what the carrier does |
/// | --- | --- |
/// | 8 | is busy when it is asked for the first and the second time |
/// | 9 | never takes the parcel |
/// | any other | takes it at once |
#[derive(Clone, Copy, Debug)]
pub struct Carrier;

/// Why a carrier did not take a parcel.
#[derive(Debug, PartialEq, Error)]
pub enum NotTaken {
    /// It may take it later.
    #[error("the carrier is busy")]
    Busy,
    /// It will never take it.
    #[error("no carrier goes there")]
    NobodyGoesThere,
}

impl NotTaken {
    /// Whether asking again is of no use.
    #[must_use]
    pub fn is_final(&self) -> bool {
        *self == Self::NobodyGoesThere
    }
}

impl Carrier {
    /// Asks it to take the parcel of an order, for the first, second, … time.
    ///
    /// # Errors
    /// It does not.
    pub async fn take(self, order_id: i64, time: u32) -> Result<(), NotTaken> {
        // A real one is asked over a network.
        tokio::time::sleep(Duration::from_millis(1)).await;
        match order_id % 10 {
            8 if time <= 2 => Err(NotTaken::Busy),
            9 => Err(NotTaken::NobodyGoesThere),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Carrier, NotTaken};

    #[tokio::test]
    async fn the_last_digit_says_how_the_carrier_fails() {
        assert_eq!(Carrier.take(17, 1).await, Ok(()));
        for (time, taken) in [(1, Err(NotTaken::Busy)), (2, Err(NotTaken::Busy)), (3, Ok(()))] {
            assert_eq!(Carrier.take(18, time).await, taken);
        }
        assert!(Carrier.take(19, 4).await.is_err_and(|error| error.is_final()));
    }
}
