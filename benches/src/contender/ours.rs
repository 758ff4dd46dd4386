//! rabbitry, as its users write it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use rabbitry::{Attempt, Broker, Publisher, RetryPolicy, Running, Service, State, Subscription, SubscriptionOptions};
use tokio::sync::watch;

use super::{Contender, Guarantee, Prefetch, Task, tight::Pace};
use crate::{
    broker::Setting,
    event::{Answered, Never, Placed, placed},
    measure::{Count, Meter, Sample},
};

/// What it is quickest with.
const BEST: u16 = 1024;

pub(super) struct Rabbitry;

/// rabbitry without the idle subscriptions.
pub(super) struct Alone;

impl Contender for Rabbitry {
    fn name(&self) -> &'static str {
        "rabbitry"
    }

    fn guarantee(&self, task: Task) -> Option<Guarantee> {
        Some(if matches!(task, Task::Beside { .. }) { Guarantee::UNPROVEN } else { Guarantee::FULL })
    }

    fn run<'a>(&'a self, task: Task, setting: &'a Setting) -> BoxFuture<'a, anyhow::Result<Sample>> {
        async move {
            match task {
                Task::Publish { ahead } => publish(setting, ahead).await,
                Task::PublishTasks { tasks } => publish_tasks(setting, tasks).await,
                Task::Consume { prefetch, work } => consume(setting, prefetch, work).await,
                Task::Answer { prefetch } => answer(setting, prefetch).await,
                Task::Latency { a_second } => latency(setting, a_second).await,
                Task::Beside { idle } => beside(setting, idle).await,
                Task::Retry => retry(setting).await,
                Task::Start { subscriptions } => start(setting, subscriptions).await,
                Task::Memory { ahead } => memory(setting, ahead).await,
            }
        }
        .boxed()
    }
}

impl Contender for Alone {
    fn name(&self) -> &'static str {
        "rabbitry-alone"
    }

    fn guarantee(&self, task: Task) -> Option<Guarantee> {
        matches!(task, Task::Beside { .. }).then_some(Guarantee::UNPROVEN)
    }

    fn run<'a>(&'a self, _: Task, setting: &'a Setting) -> BoxFuture<'a, anyhow::Result<Sample>> {
        beside(setting, 0).boxed()
    }
}

fn service(setting: &Setting) -> Service {
    Service::new(setting.service()).broker(&setting.url)
}

/// The subscription of the queue that everybody consumes.
fn take(setting: &Setting, prefetch: Prefetch) -> SubscriptionOptions {
    let options = Subscription::to("placed").name("take").queue_type(setting.queue_type);
    match prefetch {
        Prefetch::Default => options,
        prefetch => options.prefetch(prefetch.of(0, BEST)),
    }
}

async fn publish(setting: &Setting, ahead: usize) -> anyhow::Result<Sample> {
    let running = service(setting).publishes::<Placed>().start().await?;
    let publisher = running.publisher::<Placed>()?;
    let meter = Meter::start();
    publish_all(&publisher, setting, ahead).await?;
    let sample = meter.stop(setting.events);
    running.shutdown().await?;
    Ok(sample)
}

async fn publish_all(publisher: &Publisher<Placed>, setting: &Setting, ahead: usize) -> anyhow::Result<()> {
    if ahead == 1 {
        for order_id in 0..setting.events {
            publisher.publish(placed(order_id, setting.size)).await?;
        }
        return Ok(());
    }
    let mut owed = FuturesUnordered::new();
    for order_id in 0..setting.events {
        if owed.len() == ahead {
            owed.next().await.transpose()?;
        }
        owed.push(publisher.publish(placed(order_id, setting.size)));
    }
    while let Some(published) = owed.next().await {
        published?;
    }
    Ok(())
}

async fn publish_tasks(setting: &Setting, tasks: usize) -> anyhow::Result<Sample> {
    let running = service(setting).publishes::<Placed>().start().await?;
    let publisher = running.publisher::<Placed>()?;
    let next = Arc::new(AtomicU64::new(0));
    let (events, size) = (setting.events, setting.size);
    let meter = Meter::start();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let (publisher, next) = (publisher.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let order_id = next.fetch_add(1, Ordering::Relaxed);
                    if order_id >= events {
                        return Ok::<_, rabbitry::PublishError>(());
                    }
                    publisher.publish(placed(order_id, size)).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let sample = meter.stop(setting.events);
    running.shutdown().await?;
    Ok(sample)
}

/// Waits for the last event, and for the proof of all acknowledgements.
async fn end(running: Running, count: &Count) -> anyhow::Result<Sample> {
    count.done().await?;
    running.shutdown().await?;
    count.sample()
}

async fn consume(setting: &Setting, prefetch: Prefetch, work: Option<Duration>) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let subscription = match work {
        None => take(setting, prefetch).handler(async |placed: Placed, State(count): State<Arc<Count>>| {
            count.handle(placed.order_id, placed.sent, &placed.note);
        }),
        Some(work) => {
            take(setting, prefetch).handler(move |placed: Placed, State(count): State<Arc<Count>>| async move {
                tokio::time::sleep(work).await;
                count.handle(placed.order_id, placed.sent, &placed.note);
            })
        }
    };
    let running = service(setting).state(Arc::clone(&count)).subscription(subscription).start().await?;
    end(running, &count).await
}

async fn answer(setting: &Setting, prefetch: u16) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let answering = async |placed: Placed, State(count): State<Arc<Count>>| {
        count.handle(placed.order_id, placed.sent, &placed.note);
        Answered { order_id: placed.order_id }
    };
    let subscription = take(setting, Prefetch::Of(prefetch)).concurrency(prefetch).handler(answering);
    let running = service(setting).state(Arc::clone(&count)).subscription(subscription).start().await?;
    end(running, &count).await
}

async fn latency(setting: &Setting, a_second: u32) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let counting = async |placed: Placed, State(count): State<Arc<Count>>| {
        count.handle(placed.order_id, placed.sent, &placed.note);
    };
    let subscription = take(setting, Prefetch::Of(256)).handler(counting);
    let service = service(setting).publishes::<Placed>().state(Arc::clone(&count)).subscription(subscription);
    let running = service.start().await?;
    let publisher = running.publisher::<Placed>()?;
    let mut owed = FuturesUnordered::new();
    let pace = Pace::begin(a_second);
    for order_id in 0..setting.events {
        let sent = pace.wait_for(order_id).await;
        owed.push(publisher.publish(Placed { sent, ..placed(order_id, setting.size) }));
        while let Some(Some(published)) = owed.next().now_or_never() {
            published?;
        }
    }
    while let Some(published) = owed.next().await {
        published?;
    }
    end(running, &count).await
}

async fn beside(setting: &Setting, idle: usize) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let (open, gate) = watch::channel(false);
    let handler =
        async |placed: Placed, State(count): State<Arc<Count>>, State(mut gate): State<watch::Receiver<bool>>| {
            // Until all are there.
            if !*gate.borrow() {
                let _ = gate.changed().await;
            }
            count.handle(placed.order_id, placed.sent, &placed.note);
        };
    let mut service = service(setting)
        .state(Arc::clone(&count))
        .state(gate)
        .subscription(take(setting, Prefetch::Of(256)).handler(handler));
    for number in 0..idle {
        let options = Subscription::to("never").name(format!("idle-{number}")).queue_type(setting.queue_type);
        service = service.subscription(options.handler(async |_: Never| {}));
    }
    let running = service.start().await?;
    open.send_replace(true);
    count.done().await?;
    // The end of the idle ones is none of the busy one's business.
    let sample = count.sample();
    running.shutdown().await?;
    sample
}

async fn retry(setting: &Setting) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let policy = RetryPolicy::default().attempts(2).immediate(0).first(Duration::from_secs(1)).jitter(0.0);
    let handler = async |placed: Placed, attempt: Attempt, State(count): State<Arc<Count>>| {
        count.begin();
        if attempt.number == 1 {
            return Err("not yet");
        }
        count.handle(placed.order_id, placed.sent, &placed.note);
        Ok(())
    };
    let subscription = take(setting, Prefetch::Of(256)).retry(policy).concurrency(256).handler(handler);
    let running = service(setting).state(Arc::clone(&count)).subscription(subscription).start().await?;
    end(running, &count).await
}

async fn start(setting: &Setting, subscriptions: usize) -> anyhow::Result<Sample> {
    let mut service = Service::new("bench-start").broker(&setting.url);
    for number in 0..subscriptions {
        let options = Subscription::to("never").name(format!("idle-{number}")).queue_type(setting.queue_type);
        service = service.subscription(options.handler(async |_: Never| {}));
    }
    let meter = Meter::start();
    let running = service.start().await?;
    let sample = meter.stop(u64::try_from(subscriptions)?);
    running.shutdown().await?;
    Ok(sample)
}

async fn memory(setting: &Setting, ahead: usize) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let counting = async |placed: Placed, State(count): State<Arc<Count>>| {
        count.handle(placed.order_id, placed.sent, &placed.note);
    };
    let service = Service::new(setting.service())
        .broker(Broker::memory())
        .publishes::<Placed>()
        .state(Arc::clone(&count))
        .subscription(take(setting, Prefetch::Of(256)).handler(counting));
    let running = service.start().await?;
    let publisher = running.publisher::<Placed>()?;
    let meter = Meter::start();
    publish_all(&publisher, setting, ahead).await?;
    count.done().await?;
    let sample = meter.stop(setting.events);
    running.shutdown().await?;
    Ok(sample)
}
