//! No broker at all: what encoding and decoding cost, and a channel of tokio's between the two.

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;

use super::{Contender, Guarantee, Task};
use crate::{
    broker::Setting,
    event::{Envelope, Placed, placed, write},
    measure::{Count, Meter, Sample},
};

pub(super) struct Channel;

impl Contender for Channel {
    fn name(&self) -> &'static str {
        "bare-channel"
    }

    fn guarantee(&self, task: Task) -> Option<Guarantee> {
        let nothing = Guarantee {
            confirmed: false,
            persistent: false,
            acknowledged_after: false,
            acknowledgements_proven: false,
        };
        matches!(task, Task::Memory { .. }).then_some(nothing)
    }

    fn run<'a>(&'a self, _: Task, setting: &'a Setting) -> BoxFuture<'a, anyhow::Result<Sample>> {
        async move {
            let count = Count::to(setting.events)?;
            let (into, mut from) = mpsc::channel::<Vec<u8>>(1000);
            let meter = Meter::start();
            let receiving = tokio::spawn(async move {
                while let Some(body) = from.recv().await {
                    let placed = serde_json::from_slice::<Envelope<Placed>>(&body)?.data;
                    count.handle(placed.order_id, placed.sent, &placed.note);
                }
                count.done().await
            });
            for order_id in 0..setting.events {
                into.send(write("placed", order_id, &placed(order_id, setting.size))?.body).await?;
            }
            drop(into);
            receiving.await??;
            Ok(meter.stop(setting.events))
        }
        .boxed()
    }
}
