//! The broker that all contenders use, with the same queues, before and after each run.

use std::collections::VecDeque;

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions},
    types::{FieldTable, ShortString},
};
#[cfg(feature = "foreign")]
use rabbitry::Topology;
use rabbitry::{QueueType, Service, Subscription};

use crate::event::{Answered, Placed, SOURCE, Written, placed, write};

/// The exchange that rabbitry publishes to; so do all.
pub(crate) const EXCHANGE: &str = "events";

/// How many publishes are written at a time: from eight on, more change little, and up to 30 futures are joined in place.
pub(crate) const BATCH: usize = 30;

/// Where a run takes place, and how large it is.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) url: String,
    pub(crate) queue_type: QueueType,
    /// Bytes of an event's body, about.
    pub(crate) size: usize,
    /// How many events a run has.
    pub(crate) events: u64,
}

impl Setting {
    /// The service whose queues are used.
    pub(crate) fn service(&self) -> &'static str {
        if self.queue_type == QueueType::Classic { "bench-classic" } else { "bench" }
    }

    /// The queue that is consumed.
    pub(crate) fn take(&self) -> String {
        format!("{}.take", self.service())
    }

    /// The queue that answers go to.
    pub(crate) fn sink(&self) -> String {
        format!("{}.sink", self.service())
    }

    /// A service with the handlers of the benchmark, as rabbitry plans it.
    fn planned(&self) -> Service {
        Service::new(self.service())
            .broker(&self.url)
            .subscription(
                Subscription::to("placed").name("take").queue_type(self.queue_type).handler(async |_: Placed| {}),
            )
            .subscription(
                Subscription::to("answered").name("sink").queue_type(self.queue_type).handler(async |_: Answered| {}),
            )
    }

    /// What is on the broker.
    ///
    /// # Errors
    /// None that does not come from a mistake in this program.
    #[cfg(feature = "foreign")]
    pub(crate) fn plan(&self) -> anyhow::Result<Topology> {
        Ok(self.planned().build()?.topology().clone())
    }

    /// Declares the queues.
    ///
    /// # Errors
    /// The broker is not there.
    pub(crate) async fn declare(&self) -> anyhow::Result<()> {
        Ok(self.planned().declare().await?)
    }
}

/// A connection for what is not measured.
pub(crate) struct Aside {
    channel: Channel,
    _connection: Connection,
}

impl Aside {
    /// Connects.
    ///
    /// # Errors
    /// The broker is not there.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, _connection: connection })
    }

    /// Removes the queues of all other settings, which the same events would go to.
    pub(crate) async fn remove_others(&self, setting: &Setting) -> anyhow::Result<()> {
        for queue_type in [QueueType::Quorum, QueueType::Classic] {
            let other = Setting { queue_type, ..setting.clone() };
            if other.service() != setting.service() {
                for queue in [other.take(), other.sink()] {
                    self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
                }
            }
        }
        Ok(())
    }

    /// Empties the queues of a setting.
    pub(crate) async fn purge(&self, setting: &Setting) -> anyhow::Result<()> {
        for queue in [setting.take(), setting.sink()] {
            self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
        }
        Ok(())
    }

    /// How many messages wait in a queue.
    pub(crate) async fn waiting(&self, queue: &str) -> anyhow::Result<u32> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
        Ok(found.message_count())
    }

    /// Puts so many events into the queue.
    pub(crate) async fn fill(&self, setting: &Setting) -> anyhow::Result<()> {
        publish_all(&self.channel, setting.events, setting.size, 1000).await?;
        let waiting = self.waiting(&setting.take()).await?;
        ensure!(u64::from(waiting) == setting.events, "{waiting} of {} events wait to be consumed", setting.events);
        Ok(())
    }
}

/// Connects as a user of lapin does.
///
/// # Errors
/// The broker is not there.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Connection> {
    Connection::connect(url, ConnectionProperties::default())
        .await
        .with_context(|| format!("no RabbitMQ at {url}: start one by `scripts/rabbitmq start bench`"))
}

/// A channel of a connection of its own that confirms.
pub(crate) async fn confirming(url: &str) -> anyhow::Result<(Connection, Channel)> {
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

/// The properties that rabbitry writes.
pub(crate) fn properties(event_type: &'static str, written: &Written) -> BasicProperties {
    let id = ShortString::from(written.id.as_str());
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_correlation_id(id.clone())
        .with_message_id(id)
        .with_timestamp(written.timestamp)
        .with_type(event_type.into())
        .with_app_id(SOURCE.into())
}

/// Writes one event to a channel; what it gives is its confirm.
pub(crate) async fn publish(
    channel: &Channel,
    event_type: &'static str,
    written: Written,
) -> lapin::Result<PublisherConfirm> {
    let properties = properties(event_type, &written);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    channel.basic_publish(EXCHANGE.into(), event_type.into(), options, &written.body, properties).await
}

/// Waits for a confirm.
///
/// # Errors
/// It is none.
pub(crate) async fn confirmed(confirm: PublisherConfirm) -> anyhow::Result<()> {
    match confirm.await? {
        Confirmation::Ack(None) => Ok(()),
        other => anyhow::bail!("an event was not taken: {other:?}"),
    }
}

/// Publishes as tightly as lapin can: in batches, so many confirms ahead.
///
/// # Errors
/// The broker does not take one.
pub(crate) async fn publish_all(channel: &Channel, events: u64, size: usize, ahead: usize) -> anyhow::Result<()> {
    let (mut next, mut owed) = (0, VecDeque::with_capacity(ahead));
    let batch = BATCH.min(ahead);
    while next < events {
        let until = events.min(next + u64::try_from(batch)?);
        while owed.len() + batch > ahead {
            let Some(confirm) = owed.pop_front() else { break };
            confirmed(confirm).await?;
        }
        let mut written = Vec::with_capacity(batch);
        for order_id in next..until {
            written.push(publish(channel, "placed", write("placed", order_id, &placed(order_id, size))?));
        }
        for confirm in join_all(written).await {
            owed.push_back(confirm?);
        }
        next = until;
    }
    for confirm in owed {
        confirmed(confirm).await?;
    }
    Ok(())
}
