//! A service whose work queue is migrated, and what is in it before and afterwards.

use std::{collections::BTreeMap, time::Duration};

use rabbitry::{
    AnyEvent, Broker, QueueType, Service, Subscription,
    operate::Migration,
    transport::{HeaderValue, Properties},
};

use crate::{DEADLINE, Stranger, id, within};

/// The work queue of [`stock`].
pub const RESERVE: &str = "stock.reserve";

/// A service with one handler, whose queue has this type.
#[must_use]
pub fn stock(kind: QueueType) -> Service {
    let subscription = Subscription::to("order").and("order.*").name("reserve").queue_type(kind);
    Service::new("stock").subscription(subscription.handler(|_: AnyEvent| async {}))
}

/// The migration of its queue to a type. Every instance has ended.
#[must_use]
pub fn migration(kind: QueueType, broker: &Broker) -> Migration {
    let migration = Migration::of(&stock(kind).broker(broker.clone()), RESERVE).expect("it is one of its queues");
    migration.quiet("100ms").all_stopped(true)
}

/// The names of ids, numbered.
#[must_use]
pub fn ids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name}-{number}")).collect()
}

impl Stranger {
    /// Publishes events with these ids, each of which reaches a queue at least.
    pub async fn order(&self, ids: &[String]) {
        for (number, id) in ids.iter().enumerate() {
            let key = if number % 2 == 0 { "order" } else { "order.more" };
            self.publish("events", key, of_id(id), b"1").await;
        }
    }

    /// Publishes retries of the work queue with these ids, which come to it after a second.
    pub async fn retry(&self, ids: &[String]) {
        for id in ids {
            self.publish("rabbitry.v1.delay.00", &in_a_second(), of_id(id), b"1").await;
        }
    }

    /// Publishes a retry of an event that failed twice.
    pub async fn retry_of_two(&self, id: &str) {
        let mut properties = of_id(id);
        let text = |text: &str| HeaderValue::Text(text.as_bytes().to_vec());
        properties.headers = BTreeMap::from([
            ("rabbitry-attempt".to_owned(), HeaderValue::I64(2)),
            ("rabbitry-queue".to_owned(), text(RESERVE)),
            ("rabbitry-original-exchange".to_owned(), text("events")),
            ("rabbitry-original-routing-key".to_owned(), text("order")),
        ]);
        self.publish("rabbitry.v1.delay.00", &in_a_second(), properties, b"1").await;
    }

    /// Takes the work queue's messages until all of these ids were seen and it is empty; gives how often each was. What else
    /// is there fails the test.
    pub async fn take_all(&self, ids: &[String]) -> BTreeMap<String, usize> {
        self.take_all_and(ids, &[]).await
    }

    /// The same, where others may be there or not.
    pub async fn take_all_and(&self, ids: &[String], others: &[String]) -> BTreeMap<String, usize> {
        let mut seen: BTreeMap<String, usize> = ids.iter().map(|id| (id.clone(), 0)).collect();
        let taking = async {
            loop {
                let waiting = self.count(RESERVE).await;
                if waiting == 0 && seen.values().all(|times| *times > 0) {
                    return;
                }
                for message in self.take(RESERVE, usize::try_from(waiting.min(1000)).expect("it is small")).await {
                    let id = id(&message);
                    match seen.get_mut(&id) {
                        Some(times) => *times += 1,
                        None => assert!(others.contains(&id), "nobody published `{id}`"),
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, taking).await.is_err() {
            let missing: Vec<_> = seen.iter().filter(|(_, times)| **times == 0).map(|(id, _)| id).collect();
            panic!("{} of {} ids never came: {missing:?}", missing.len(), ids.len());
        }
        seen
    }

    /// Checks that a migration left nothing behind.
    pub async fn assert_migrated(&self, kind: QueueType, broker: &Broker) {
        assert_eq!(self.count_if_any(&format!("{RESERVE}.migrating")).await, None, "the holding queue is gone");
        let compared = within("comparing", stock(kind).broker(broker.clone()).compare()).await.expect("it is compared");
        assert!(compared.is_equal(), "{compared}");
        assert!(!self.has_exchange(&format!("{RESERVE}.migrating")).await, "so is the exchange that moved messages");
    }
}

fn in_a_second() -> String {
    format!("{}1.queue.{RESERVE}", "0.".repeat(27))
}

fn of_id(id: &str) -> Properties {
    Properties { message_id: Some(id.into()), delivery_mode: Some(2), ..Properties::default() }
}
