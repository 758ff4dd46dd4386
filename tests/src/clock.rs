//! A clock whose long waits end when a test says so.

use std::{
    ops::{Bound, RangeBounds},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::BoxFuture};
use rabbitry::Clock;
use tokio::sync::{Semaphore, watch};

use crate::within;

/// The machine's clock, but for waits of some lengths: those end when the test says so.
#[derive(Clone, Debug)]
pub struct HeldClock {
    held: (Bound<Duration>, Bound<Duration>),
    waiting: watch::Sender<usize>,
    released: Arc<Semaphore>,
    over: watch::Sender<usize>,
}

impl HeldClock {
    /// One that holds waits of exactly this length.
    #[must_use]
    pub fn holding(held: Duration) -> Self {
        Self::holding_all((Bound::Included(held), Bound::Included(held)))
    }

    /// One that holds waits that are shorter than this.
    #[must_use]
    pub fn holding_below(held: Duration) -> Self {
        Self::holding_all((Bound::Unbounded, Bound::Excluded(held)))
    }

    fn holding_all(held: (Bound<Duration>, Bound<Duration>)) -> Self {
        Self {
            held,
            waiting: watch::Sender::new(0),
            released: Arc::new(Semaphore::new(0)),
            over: watch::Sender::new(0),
        }
    }

    /// Waits until so many of those waits have begun, ended ones included.
    pub async fn begun(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        within(format!("{count} waits of {:?}", self.held), async {
            let _ = waiting.wait_for(|now| *now >= count).await;
        })
        .await;
    }

    /// How many have begun.
    #[must_use]
    pub fn all_begun(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Ends one of them.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    /// Waits until so many have ended: whoever waited goes on in the very same step.
    pub async fn ended(&self, count: usize) {
        let mut over = self.over.subscribe();
        within(format!("the end of {count} waits of {:?}", self.held), async {
            let _ = over.wait_for(|now| *now >= count).await;
        })
        .await;
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if !self.held.contains(&duration) {
            return tokio::time::sleep(duration).boxed();
        }
        let (waiting, released, over) = (self.waiting.clone(), Arc::clone(&self.released), self.over.clone());
        async move {
            waiting.send_modify(|count| *count += 1);
            // Never closed.
            if let Ok(permit) = released.acquire().await {
                permit.forget();
            }
            over.send_modify(|count| *count += 1);
        }
        .boxed()
    }
}
