//! The books of a virtual host: whatever was published is somewhere.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

use rabbitry::testing::Test;

use crate::{DEADLINE, Stranger, TestBroker, queues, stop_all};

/// How many messages are where, by the broker's own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// In work queues and in the levels of the delay ladder.
    pub waiting: usize,
    /// In queues of dead letters.
    pub dead: usize,
    /// In the queue of what could not be delivered.
    pub undeliverable: usize,
}

impl Books {
    /// Reads them: the messages of every queue that are ready, so all of them once services and clients have let go of
    /// what they had. What moves between two queues may be counted in neither or in both, so they are read until two
    /// readings agree.
    pub async fn read(broker: &TestBroker) -> Self {
        let mut last = Self::once(broker).await;
        loop {
            let now = Self::once(broker).await;
            if now == last {
                return now;
            }
            last = now;
        }
    }

    /// Waits until nothing is left in work queues and in the ladder, and this much is dead.
    ///
    /// # Panics
    /// It does not come to that within the deadline.
    #[track_caller]
    pub fn settled(broker: &TestBroker, dead: usize) -> impl Future<Output = Self> {
        let caller = Location::caller();
        Self::come_to(dead, caller, async || Self::read(broker).await)
    }

    /// The same of a [`Test`]'s broker, whichever it is.
    ///
    /// # Panics
    /// It does not come to that within the deadline.
    #[track_caller]
    pub fn settled_in(test: &Test, dead: usize) -> impl Future<Output = Self> {
        let caller = Location::caller();
        Self::come_to(dead, caller, async || Self::of(test).await)
    }

    /// Shuts down the services of a test, whichever broker it is on, and reads the books of that.
    pub async fn after(mut test: Test) -> Self {
        stop_all(&mut test).await;
        let books = Self::of(&test).await;
        test.shutdown().await;
        books
    }

    /// Reads those of a test's broker, as [`read`](Self::read) does.
    pub async fn of(test: &Test) -> Self {
        let stranger = Stranger::on(&test.broker()).await;
        let mut last = None;
        loop {
            let mut now = Self::default();
            for name in queues(test).await {
                let count = stranger.count_if_any(&name).await.unwrap_or_default();
                now.add(&name, usize::try_from(count).expect("no more than that"));
            }
            if last == Some(now) {
                return now;
            }
            last = Some(now);
        }
    }

    async fn come_to(dead: usize, caller: &Location<'_>, mut read: impl AsyncFnMut() -> Self) -> Self {
        let wanted = Self { dead, ..Self::default() };
        let deadline = Instant::now() + DEADLINE;
        loop {
            let now = read().await;
            assert!(now == wanted || Instant::now() < deadline, "{caller}: {now:?} instead of {wanted:?}");
            if now == wanted {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn once(broker: &TestBroker) -> Self {
        // The statistics of rabbitmqctl and of the management plugin are seconds late; a passive declaration asks the
        // queue itself.
        let client = broker.client().await;
        let mut books = Self::default();
        for name in broker.queues().await {
            let messages = client.count(&name).await.unwrap_or_default() as usize;
            books.add(&name, messages);
        }
        client.close().await;
        books
    }

    fn add(&mut self, queue: &str, messages: usize) {
        if queue.ends_with(".undeliverable") {
            self.undeliverable += messages;
        } else if queue.ends_with(".dead") {
            self.dead += messages;
        } else {
            self.waiting += messages;
        }
    }

    /// Checks that every delivery that was published is handled, or waiting, or dead, or undeliverable.
    #[track_caller]
    pub fn balance(self, published: usize, handled: usize) {
        let Self { waiting, dead, undeliverable } = self;
        assert_eq!(
            published,
            handled + waiting + dead + undeliverable,
            "published {published} = handled {handled} + waiting {waiting} + dead {dead} + undeliverable {undeliverable}"
        );
    }
}
