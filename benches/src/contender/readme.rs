//! lapin as its README shows it: publish and wait, handle and acknowledge, one at a time.

use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use lapin::{
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};

use super::{Contender, Guarantee, Task, not_taking_part};
use crate::{
    broker::{Setting, confirmed, confirming, publish},
    event::{Envelope, Placed, placed, write},
    measure::{Count, Meter, Sample},
};

pub(super) struct Readme;

impl Contender for Readme {
    fn name(&self) -> &'static str {
        "lapin-readme"
    }

    fn guarantee(&self, task: Task) -> Option<Guarantee> {
        match task {
            // However many others have in flight.
            Task::Publish { .. } | Task::Consume { work: None, .. } | Task::Answer { .. } => Some(Guarantee::FULL),
            _ => None,
        }
    }

    fn share(&self) -> f64 {
        0.2
    }

    fn run<'a>(&'a self, task: Task, setting: &'a Setting) -> BoxFuture<'a, anyhow::Result<Sample>> {
        async move {
            let (connection, channel) = confirming(&setting.url).await?;
            let sample = match task {
                Task::Publish { .. } => {
                    let meter = Meter::start();
                    for order_id in 0..setting.events {
                        let written = write("placed", order_id, &placed(order_id, setting.size))?;
                        confirmed(publish(&channel, "placed", written).await?).await?;
                    }
                    meter.stop(setting.events)
                }
                Task::Consume { .. } | Task::Answer { .. } => {
                    let prefetch = match task {
                        Task::Consume { prefetch, .. } => prefetch.of(0, 256),
                        Task::Answer { prefetch } => prefetch,
                        _ => 0,
                    };
                    if prefetch > 0 {
                        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
                    }
                    let (queue, options) = (setting.take().into(), BasicConsumeOptions::default());
                    let mut consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
                    let (count, mut handled) = (Count::to(setting.events)?, 0);
                    while let Some(delivery) = consumer.next().await {
                        let delivery = delivery?;
                        let placed = serde_json::from_slice::<Envelope<Placed>>(&delivery.data)?.data;
                        count.handle(placed.order_id, placed.sent, &placed.note);
                        if let Task::Answer { .. } = task {
                            let order_id = placed.order_id;
                            let written = write("answered", order_id, &crate::event::Answered { order_id })?;
                            confirmed(publish(&channel, "answered", written).await?).await?;
                        }
                        delivery.ack(BasicAckOptions::default()).await?;
                        handled += 1;
                        if handled == setting.events {
                            break;
                        }
                    }
                    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
                    count.sample()?
                }
                _ => return Err(not_taking_part(self.name(), task)),
            };
            connection.close(200, "".into()).await?;
            Ok(sample)
        }
        .boxed()
    }
}
