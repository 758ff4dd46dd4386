//! lapin as tightly as it can be used by hand: confirms pipelined, acknowledgements by `multiple` for each batch, events read
//! without a copy, a connection each for publishing and consuming.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::{Instant, sleep_until};

use super::{Contender, Guarantee, Task, not_taking_part};
use crate::{
    broker::{BATCH, Setting, confirmed, confirming, connect, publish, publish_all},
    event::{Answered, Envelope, PlacedRef, placed, write},
    measure::{Count, Meter, Sample, now},
};

/// How many finished deliveries are acknowledged at once.
const ACKNOWLEDGE: usize = 64;
/// What it is quickest with.
const BEST: u16 = 1024;

pub(super) struct Tight;

impl Contender for Tight {
    fn name(&self) -> &'static str {
        "lapin-tight"
    }

    fn guarantee(&self, task: Task) -> Option<Guarantee> {
        match task {
            Task::Publish { .. }
            | Task::PublishTasks { .. }
            | Task::Consume { .. }
            | Task::Answer { .. }
            | Task::Latency { .. } => Some(Guarantee::FULL),
            Task::Beside { .. } | Task::Retry | Task::Start { .. } | Task::Memory { .. } => None,
        }
    }

    fn run<'a>(&'a self, task: Task, setting: &'a Setting) -> BoxFuture<'a, anyhow::Result<Sample>> {
        Box::pin(async move {
            match task {
                // By hand nobody makes a thousand tasks of it: they are what it is without.
                Task::Publish { ahead } | Task::PublishTasks { tasks: ahead } => {
                    let (connection, channel) = confirming(&setting.url).await?;
                    let meter = Meter::start();
                    publish_all(&channel, setting.events, setting.size, ahead).await?;
                    let sample = meter.stop(setting.events);
                    connection.close(200, "".into()).await?;
                    Ok(sample)
                }
                Task::Consume { prefetch, work: None } => consume(setting, prefetch.of(0, BEST)).await,
                Task::Consume { prefetch, work: Some(work) } => {
                    consume_working(setting, prefetch.of(0, BEST), work).await
                }
                Task::Answer { prefetch } => answer(setting, prefetch).await,
                Task::Latency { a_second } => latency(setting, a_second).await,
                _ => Err(not_taking_part(self.name(), task)),
            }
        })
    }
}

/// A channel of a connection of its own that consumes.
async fn consuming(setting: &Setting, prefetch: u16) -> anyhow::Result<(Connection, Channel, Consumer)> {
    let connection = connect(&setting.url).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(setting.take().into(), "".into(), options, FieldTable::default()).await?;
    Ok((connection, channel, consumer))
}

/// Proves that all acknowledgements are taken, and ends.
async fn end(connection: &Connection, channel: &Channel, consumer: &Consumer, count: &Count) -> anyhow::Result<Sample> {
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
    let sample = count.sample()?;
    connection.close(200, "".into()).await?;
    Ok(sample)
}

fn handle(count: &Count, delivery: &Delivery) -> anyhow::Result<u64> {
    let placed = serde_json::from_slice::<Envelope<PlacedRef<'_>>>(&delivery.data)?.data;
    count.handle(placed.order_id, placed.sent, &placed.note);
    Ok(placed.order_id)
}

async fn consume(setting: &Setting, prefetch: u16) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let (connection, channel, mut consumer) = consuming(setting, prefetch).await?;
    let ahead = if prefetch == 0 { ACKNOWLEDGE } else { usize::from(prefetch).div_ceil(2) };
    let (mut handled, batch) = (0, ACKNOWLEDGE.min(ahead));
    while handled < setting.events {
        // Whatever is there, up to a batch of it.
        let mut next = consumer.next().await;
        let (mut last, mut taken) = (0, 0);
        while let Some(delivery) = next {
            let delivery = delivery?;
            handle(&count, &delivery)?;
            (last, taken) = (delivery.delivery_tag, taken + 1);
            next = if taken < batch { consumer.next().now_or_never().flatten() } else { None };
        }
        anyhow::ensure!(taken > 0, "the consumer ended");
        channel.basic_ack(last, BasicAckOptions { multiple: true }).await?;
        handled += u64::try_from(taken)?;
    }
    end(&connection, &channel, &consumer, &count).await
}

/// With 16 handlers at a time that wait.
async fn consume_working(setting: &Setting, prefetch: u16, work: Duration) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let (connection, channel, mut consumer) = consuming(setting, prefetch).await?;
    let (mut handled, mut running) = (0, FuturesUnordered::new());
    while handled < setting.events {
        tokio::select! {
            biased;
            Some(tag) = running.next(), if !running.is_empty() => {
                let tag: anyhow::Result<u64> = tag;
                // What has ended with it is acknowledged with it.
                let mut tags = vec![tag?];
                while let Some(Some(tag)) = running.next().now_or_never() {
                    tags.push(tag?);
                }
                handled += u64::try_from(tags.len())?;
                for written in join_all(tags.into_iter().map(|tag| channel.basic_ack(tag, BasicAckOptions::default()))).await {
                    written?;
                }
            }
            Some(delivery) = consumer.next(), if running.len() < 16 => {
                let (delivery, count) = (delivery?, Arc::clone(&count));
                running.push(async move {
                    tokio::time::sleep(work).await;
                    handle(&count, &delivery)?;
                    Ok(delivery.delivery_tag)
                });
            }
        }
    }
    end(&connection, &channel, &consumer, &count).await
}

async fn answer(setting: &Setting, prefetch: u16) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let (publishing, out) = confirming(&setting.url).await?;
    let (connection, channel, mut consumer) = consuming(setting, prefetch).await?;
    let mut owed = VecDeque::with_capacity(usize::from(prefetch));
    let (mut handled, mut received) = (0, 0);
    while handled < setting.events {
        tokio::select! {
            biased;
            delivery = consumer.next(), if received < setting.events && owed.len() < usize::from(prefetch) => {
                let (mut next, mut tags, mut writes) = (delivery, Vec::new(), Vec::new());
                while let Some(delivery) = next {
                    let delivery = delivery?;
                    let order_id = handle(&count, &delivery)?;
                    tags.push(delivery.delivery_tag);
                    writes.push(publish(&out, "answered", write("answered", order_id, &Answered { order_id })?));
                    next = if tags.len() < BATCH { consumer.next().now_or_never().flatten() } else { None };
                }
                received += u64::try_from(tags.len())?;
                for (tag, confirm) in tags.into_iter().zip(join_all(writes).await) {
                    owed.push_back((tag, confirmed(confirm?).boxed()));
                }
            }
            Some(first) = async { match owed.front_mut() { Some((_, confirm)) => Some(confirm.await), None => None } } => {
                first?;
                let Some((mut tag, _)) = owed.pop_front() else { continue };
                handled += 1;
                while let Some((_, confirm)) = owed.front_mut() {
                    let Some(confirmed) = confirm.now_or_never() else { break };
                    confirmed?;
                    let Some((next, _)) = owed.pop_front() else { break };
                    (tag, handled) = (next, handled + 1);
                }
                channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
            }
        }
    }
    let sample = end(&connection, &channel, &consumer, &count).await?;
    publishing.close(200, "".into()).await?;
    Ok(sample)
}

async fn latency(setting: &Setting, a_second: u32) -> anyhow::Result<Sample> {
    let (publishing, out) = confirming(&setting.url).await?;
    let consuming = tokio::spawn({
        let setting = setting.clone();
        async move { consume(&setting, 256).await }
    });
    let mut owed = FuturesUnordered::new();
    let pace = Pace::begin(a_second);
    for order_id in 0..setting.events {
        let sent = pace.wait_for(order_id).await;
        let mut event = placed(order_id, setting.size);
        event.sent = sent;
        owed.push(confirmed(publish(&out, "placed", write("placed", order_id, &event)?).await?));
        while let Some(Some(done)) = owed.next().now_or_never() {
            done?;
        }
    }
    while let Some(done) = owed.next().await {
        done?;
    }
    let sample = consuming.await??;
    publishing.close(200, "".into()).await?;
    Ok(sample)
}

/// When each event should be sent.
pub(super) struct Pace {
    start: Instant,
    start_nanos: u64,
    each: Duration,
}

impl Pace {
    /// Begins in a moment, once all are ready.
    pub(super) fn begin(a_second: u32) -> Self {
        let ahead = Duration::from_millis(100);
        let start_nanos = now() + u64::try_from(ahead.as_nanos()).unwrap_or_default();
        Self { start: Instant::now() + ahead, start_nanos, each: Duration::from_secs(1) / a_second }
    }

    /// Waits for an event's time, and gives it.
    pub(super) async fn wait_for(&self, number: u64) -> u64 {
        let after = self.each * u32::try_from(number).unwrap_or(u32::MAX);
        sleep_until(self.start + after).await;
        self.start_nanos + u64::try_from(after.as_nanos()).unwrap_or_default()
    }
}
