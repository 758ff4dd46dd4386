//! kanin: a task for each delivery, acknowledged one by one.

use std::{convert::Infallible, sync::Arc};

use anyhow::Context as _;
use futures_util::{FutureExt, future::BoxFuture};
use kanin::{
    App, Extract, HandlerConfig, Request,
    extract::State,
    lapin::{
        Connection, ConnectionProperties,
        types::{AMQPValue, LongString},
    },
};
use rabbitry::topology::Argument;

use super::{Contender, Guarantee, Task, not_taking_part};
use crate::{
    broker::{EXCHANGE, Setting},
    event::{Envelope, Placed},
    measure::{Count, Sample},
};

pub(super) struct Kanin;

impl Contender for Kanin {
    fn name(&self) -> &'static str {
        "kanin"
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
                Task::Consume { prefetch, work: None } => {
                    consume(setting, prefetch.of(HandlerConfig::DEFAULT_PREFETCH, 256)).await
                }
                _ => Err(not_taking_part(self.name(), task)),
            }
        }
        .boxed()
    }
}

/// JSON instead of its protobuf.
struct Json(Option<Placed>);

#[async_trait::async_trait]
impl<S: Send + Sync> Extract<S> for Json {
    type Error = Infallible;

    async fn extract(request: &mut Request<S>) -> Result<Self, Infallible> {
        let envelope = serde_json::from_slice::<Envelope<Placed>>(&request.delivery().data);
        Ok(Self(envelope.ok().map(|envelope| envelope.data)))
    }
}

struct Shared(Arc<Count>);

impl From<&Shared> for Arc<Count> {
    fn from(shared: &Shared) -> Self {
        Self::clone(&shared.0)
    }
}

async fn handle(Json(placed): Json, State(count): State<Arc<Count>>) {
    if let Some(placed) = placed {
        count.handle(placed.order_id, placed.sent, &placed.note);
    }
}

async fn consume(setting: &Setting, prefetch: u16) -> anyhow::Result<Sample> {
    let count = Count::to(setting.events)?;
    let plan = setting.plan()?;
    let queue = plan.queues.iter().find(|queue| queue.name == setting.take()).context("the queue")?;
    // It declares what it consumes.
    let mut config = HandlerConfig::new()
        .with_queue(&queue.name)
        .with_exchange(EXCHANGE)
        .with_prefetch(prefetch)
        .with_durable(true)
        .with_auto_delete(false)
        .with_replies(false);
    for (name, argument) in &queue.arguments {
        config = config.with_arg(
            name.clone(),
            match argument {
                Argument::Text(text) => AMQPValue::LongString(LongString::from(text.as_str())),
                Argument::Integer(number) => AMQPValue::LongLongInt(*number),
                Argument::Bool(value) => AMQPValue::Boolean(*value),
                other => anyhow::bail!("an argument that it cannot be given: {other:?}"),
            },
        );
    }
    let connection = Connection::connect(&setting.url, ConnectionProperties::default()).await?;
    let app = App::new(Shared(Arc::clone(&count))).handler_with_config("placed", handle, config);
    let shutdown = app.shutdown_channel();
    let running = async {
        app.run_with_connection(&connection).await?;
        anyhow::Ok(())
    };
    let counting = async {
        count.done().await?;
        let sample = count.sample()?;
        shutdown.send(())?;
        anyhow::Ok(sample)
    };
    let ((), sample) = futures_util::try_join!(running, counting)?;
    // It closes its channels itself, at the same time; what went wrong with that is not measured.
    _ = connection.close(200, "").await;
    Ok(sample)
}
