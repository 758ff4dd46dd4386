//! amqprs by hand: acknowledgements by `multiple` for each batch, confirms counted.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use amqprs::{
    Ack, BasicProperties, Cancel, CloseChannel, Nack, Return,
    callbacks::ChannelCallback,
    channel::{
        BasicAckArguments, BasicCancelArguments, BasicConsumeArguments, BasicPublishArguments, BasicQosArguments,
        Channel, ConfirmSelectArguments,
    },
    connection::{Connection, OpenConnectionArguments},
    error::Error,
};
use anyhow::Context as _;
use futures_util::{FutureExt, future::BoxFuture};
use lapin::uri::{AMQPAuthority, AMQPUri};
use tokio::sync::Notify;

use super::{Contender, Guarantee, Prefetch, Task, not_taking_part, tight::Pace};
use crate::{
    broker::{EXCHANGE, Setting},
    event::{Envelope, Placed, PlacedRef, SOURCE, placed, write},
    measure::{Count, Meter, Sample},
};

/// How many finished deliveries are acknowledged at once.
const ACKNOWLEDGE: u64 = 64;

pub(super) struct Amqprs;

impl Contender for Amqprs {
    fn name(&self) -> &'static str {
        "amqprs"
    }

    fn guarantee(&self, task: Task) -> Option<Guarantee> {
        match task {
            Task::Publish { .. } | Task::PublishTasks { .. } | Task::Consume { work: None, .. } => {
                Some(Guarantee::FULL)
            }
            Task::Latency { .. } => Some(Guarantee::FULL),
            _ => None,
        }
    }

    fn run<'a>(&'a self, task: Task, setting: &'a Setting) -> BoxFuture<'a, anyhow::Result<Sample>> {
        async move {
            match task {
                Task::Publish { ahead } | Task::PublishTasks { tasks: ahead } => publish(setting, ahead).await,
                // Without a limit it is quickest.
                Task::Consume { prefetch, work: None } => consume(setting, prefetch.of(0, 0)).await,
                Task::Latency { a_second } => latency(setting, a_second).await,
                _ => Err(not_taking_part(self.name(), task)),
            }
        }
        .boxed()
    }
}

async fn open(setting: &Setting) -> anyhow::Result<(Connection, Channel)> {
    let uri: AMQPUri = setting.url.parse().map_err(|error| anyhow::anyhow!("the URL: {error}"))?;
    let AMQPAuthority { userinfo, host, port } = uri.authority;
    let mut arguments = OpenConnectionArguments::new(&host, port, &userinfo.username, &userinfo.password);
    arguments.virtual_host(&uri.vhost);
    let connection = Connection::open(&arguments).await?;
    let channel = connection.open_channel(None).await?;
    Ok((connection, channel))
}

/// What the broker has confirmed.
#[derive(Default)]
struct Confirmed {
    up_to: AtomicU64,
    nacked: AtomicU64,
    changed: Notify,
}

impl Confirmed {
    async fn reaches(&self, tag: u64) -> anyhow::Result<()> {
        loop {
            let changed = self.changed.notified();
            if self.up_to.load(Ordering::Acquire) >= tag {
                anyhow::ensure!(self.nacked.load(Ordering::Relaxed) == 0, "the broker would not store an event");
                return Ok(());
            }
            changed.await;
        }
    }
}

/// Takes confirms in: RabbitMQ gives them one by one or for all up to a tag, and now and then out of order.
struct Confirms {
    confirmed: Arc<Confirmed>,
    /// Those beyond the first that is missing.
    beyond: BTreeSet<u64>,
}

#[async_trait::async_trait]
impl ChannelCallback for Confirms {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), Error> {
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, _: bool) -> Result<bool, Error> {
        Ok(true)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        let mut up_to = self.confirmed.up_to.load(Ordering::Relaxed);
        if ack.mutiple() {
            up_to = up_to.max(ack.delivery_tag());
            self.beyond = self.beyond.split_off(&(up_to + 1));
        } else {
            self.beyond.insert(ack.delivery_tag());
        }
        while self.beyond.remove(&(up_to + 1)) {
            up_to += 1;
        }
        self.confirmed.up_to.store(up_to, Ordering::Release);
        self.confirmed.changed.notify_waiters();
    }

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {
        self.confirmed.nacked.fetch_add(1, Ordering::Relaxed);
        self.confirmed.changed.notify_waiters();
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {
        self.confirmed.nacked.fetch_add(1, Ordering::Relaxed);
    }
}

async fn confirming(channel: &Channel) -> anyhow::Result<Arc<Confirmed>> {
    let confirmed = Arc::<Confirmed>::default();
    channel.register_callback(Confirms { confirmed: Arc::clone(&confirmed), beyond: BTreeSet::new() }).await?;
    channel.confirm_select(ConfirmSelectArguments::default()).await?;
    Ok(confirmed)
}

async fn send(channel: &Channel, event: &Placed) -> anyhow::Result<()> {
    let written = write("placed", event.order_id, event)?;
    let mut properties = BasicProperties::default();
    properties
        .with_content_type("application/json")
        .with_persistence(true)
        .with_correlation_id(&written.id)
        .with_message_id(&written.id)
        .with_timestamp(written.timestamp)
        .with_message_type("placed")
        .with_app_id(SOURCE);
    let mut arguments = BasicPublishArguments::new(EXCHANGE, "placed");
    arguments.mandatory(true);
    channel.basic_publish(properties, written.body, arguments).await?;
    Ok(())
}

async fn publish(setting: &Setting, ahead: usize) -> anyhow::Result<Sample> {
    let (connection, channel) = open(setting).await?;
    let (confirmed, ahead) = (confirming(&channel).await?, u64::try_from(ahead)?);
    let meter = Meter::start();
    for number in 1..=setting.events {
        confirmed.reaches(number.saturating_sub(ahead)).await?;
        send(&channel, &placed(number, setting.size)).await?;
    }
    confirmed.reaches(setting.events).await?;
    let sample = meter.stop(setting.events);
    channel.close().await?;
    connection.close().await?;
    Ok(sample)
}

async fn consume(setting: &Setting, prefetch: u16) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let (connection, channel) = open(setting).await?;
    if prefetch > 0 {
        channel.basic_qos(BasicQosArguments::new(0, prefetch, false)).await?;
    }
    let arguments = BasicConsumeArguments::new(&setting.take(), "").manual_ack(true).finish();
    let (tag, mut deliveries) = channel.basic_consume_rx(arguments).await?;
    let ahead = if prefetch == 0 { ACKNOWLEDGE } else { u64::from(prefetch).div_ceil(2) };
    let (mut handled, batch) = (0, ACKNOWLEDGE.min(ahead));
    while handled < setting.events {
        let mut next = deliveries.recv().await;
        let (mut last, mut taken) = (0, 0);
        while let Some(message) = next {
            let (body, deliver) = (message.content.context("a body")?, message.deliver.context("a delivery")?);
            let placed = serde_json::from_slice::<Envelope<PlacedRef<'_>>>(&body)?.data;
            count.handle(placed.order_id, placed.sent, &placed.note);
            (last, taken) = (deliver.delivery_tag(), taken + 1);
            next = if taken < batch { deliveries.try_recv().ok() } else { None };
        }
        anyhow::ensure!(taken > 0, "the consumer ended");
        channel.basic_ack(BasicAckArguments::new(last, true)).await?;
        handled += taken;
    }
    channel.basic_cancel(BasicCancelArguments::new(&tag)).await?;
    let sample = count.sample()?;
    channel.close().await?;
    connection.close().await?;
    Ok(sample)
}

async fn latency(setting: &Setting, a_second: u32) -> anyhow::Result<Sample> {
    let consuming = tokio::spawn({
        let setting = setting.clone();
        async move { consume(&setting, Prefetch::Of(256).of(0, 0)).await }
    });
    let (connection, channel) = open(setting).await?;
    let confirmed = confirming(&channel).await?;
    let pace = Pace::begin(a_second);
    for order_id in 0..setting.events {
        let sent = pace.wait_for(order_id).await;
        send(&channel, &Placed { sent, ..placed(order_id, setting.size) }).await?;
    }
    confirmed.reaches(setting.events).await?;
    let sample = consuming.await??;
    channel.close().await?;
    connection.close().await?;
    Ok(sample)
}
