//! ruststream with its lapin broker: 16 workers, acknowledged one by one.

use std::{convert::Infallible, num::NonZeroU16, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use ruststream_lapin::prelude::*;

use super::{Contender, Guarantee, Task, not_taking_part};
use crate::{
    broker::Setting,
    event::{Envelope, Placed},
    measure::{Count, Sample},
};

pub(super) struct Ruststream;

impl Contender for Ruststream {
    fn name(&self) -> &'static str {
        "ruststream"
    }

    fn guarantee(&self, task: Task) -> Option<Guarantee> {
        matches!(task, Task::Consume { work: None, .. }).then_some(Guarantee::UNPROVEN)
    }

    fn share(&self) -> f64 {
        0.5
    }

    fn run<'a>(&'a self, task: Task, setting: &'a Setting) -> BoxFuture<'a, anyhow::Result<Sample>> {
        async move {
            match task {
                Task::Consume { prefetch, work: None } => consume(setting, prefetch.of(0, 256)).await,
                _ => Err(not_taking_part(self.name(), task)),
            }
        }
        .boxed()
    }
}

#[subscriber("bench.take", workers(16))]
async fn take(event: &Envelope<Placed>, ctx: &mut Context<'_, (), Arc<Count>>) -> HandlerOutcome {
    ctx.state().handle(event.data.order_id, event.data.sent, &event.data.note);
    HandlerOutcome::ack()
}

async fn consume(setting: &Setting, prefetch: u16) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let mut broker = LapinBroker::new(&setting.url);
    if let Some(prefetch) = NonZeroU16::new(prefetch) {
        broker = broker.prefetch(prefetch);
    }
    let (state, queue) = (Arc::clone(&count), RabbitQueue::new(setting.take()));
    let app = RustStream::new(AppInfo::new("bench", "0.1.0"))
        .on_startup(async move |()| Ok::<_, Infallible>(state))
        .with_broker(broker, |b| {
            b.include(take.map_source(|_| queue));
        });
    let running = app.start().await?;
    count.done().await?;
    let sample = count.sample()?;
    // What goes wrong with its end is not measured.
    _ = running.shutdown().await;
    Ok(sample)
}
