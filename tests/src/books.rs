//! The books of a virtual host: whatever was published is somewhere.

use crate::TestBroker;

/// How many messages are where, by the broker's own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    /// In work queues and in the levels of the delay ladder.
    pub waiting: usize,
    /// In queues of dead letters.
    pub dead: usize,
    /// In the queue of what could not be delivered.
    pub undeliverable: usize,
}

impl Books {
    /// Reads them: the messages ready and unacknowledged of every queue. The broker's counts may be late, so they are
    /// read until two readings agree.
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

    async fn once(broker: &TestBroker) -> Self {
        let mut books = Self { waiting: 0, dead: 0, undeliverable: 0 };
        for row in broker.list("list_queues", &["name", "messages"]).await {
            let [name, messages] = row.as_slice() else { panic!("list_queues printed {row:?}") };
            let messages: usize = messages.parse().unwrap_or(0);
            if name == "rabbitry.v1.undeliverable" {
                books.undeliverable += messages;
            } else if name.ends_with(".dead") {
                books.dead += messages;
            } else {
                books.waiting += messages;
            }
        }
        books
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
