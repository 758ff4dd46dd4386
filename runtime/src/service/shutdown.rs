//! How a running service ends.

use std::time::Duration;

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::task::JoinHandle;

use super::{Running, ShutdownError, running::Parts, signal::Signals};
use crate::consumer::Stopped;

/// How long what is cut off may take to let go: with the default grace and the goodbyes it stays within 30 s.
const LAST_MOMENT: Duration = Duration::from_secs(2);
/// How long a task that is aborted may take to end. One whose handler keeps the thread never does.
const ABORTED: Duration = Duration::from_secs(1);

impl Running {
    /// Stops: takes no more deliveries, lets the handlers in hand finish within the grace period, waits for the last
    /// confirms and acknowledgements, and closes. It ends [`grace`](crate::Service::grace) and some seconds after it began,
    /// whatever the broker and the handlers do.
    ///
    /// What is cut off goes on where nothing can stop it: a `blocking` handler on its thread, which does not keep the process,
    /// and an async one that never awaits, which keeps tokio's runtime from ending: such a process has to be killed, or ended
    /// by [`std::process::exit`].
    ///
    /// # Errors
    /// Handlers were cut off at the end of the grace period, or messages had no confirm. The events come again.
    ///
    /// # Cancel safety
    /// A shutdown whose future is dropped goes no further than consumers that finish what they have; call it again to go on,
    /// with a new grace period.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        let parts = &self.parts;
        parts.stopping.cancel();
        parts.publishing.drain();
        parts.consuming.iter().for_each(|link| link.drain());
        let mut tasks = parts.tasks.lock().await;
        let limit = parts.limit().boxed().shared();
        let mut cut_off = parts.end_consumers(&mut tasks.consumers, &limit).await;
        parts.closing.cancel();
        let mut unconfirmed = 0;
        if let Some(publisher) = &mut tasks.publisher {
            tokio::select! {
                biased;
                joined = &mut *publisher => {
                    if let Err(error) = joined {
                        tracing::error!(%error, "the publishing task ended badly");
                    }
                }
                () = limit => {
                    unconfirmed = parts.outgoing.window.on_their_way();
                    publisher.abort();
                }
            }
        }
        tasks.publisher = None;
        match &parts.consuming {
            Some(consuming) => _ = tokio::join!(consuming.close(), parts.publishing.close()),
            None => parts.publishing.close().await,
        }
        if cut_off.is_empty() && unconfirmed == 0 {
            tracing::info!(service = parts.name, "stopped");
            return Ok(());
        }
        cut_off.sort();
        Err(ShutdownError { service: parts.name.clone(), cut_off, unconfirmed })
    }

    /// Shuts down after a signal; a second one ends it at once.
    pub(super) async fn stop(&self, signal: &str, signals: &mut Signals) -> Result<(), ShutdownError> {
        tracing::info!(service = self.parts.name, signal, "stopping");
        let mut shutdown = std::pin::pin!(self.shutdown());
        tokio::select! {
            biased;
            ended = &mut shutdown => return ended,
            signal = signals.next() => tracing::warn!(service = self.parts.name, signal, "stopping at once"),
        }
        self.parts.cut.cancel();
        shutdown.await
    }
}

impl Parts {
    /// Ends when the shutdown must: the last moment after the grace period or a cut, whichever comes first.
    async fn limit(&self) {
        tokio::select! {
            () = self.cut.cancelled() => {}
            () = self.clock.sleep(self.grace) => self.cut.cancel(),
        }
        self.clock.sleep(LAST_MOMENT).await;
    }

    /// Waits for the consumers until the limit, and says of which handlers how many runs were cut off.
    async fn end_consumers(
        &self,
        consumers: &mut Vec<(String, JoinHandle<Stopped>)>,
        limit: &Shared<BoxFuture<'_, ()>>,
    ) -> Vec<(String, usize)> {
        let mut cut_off = Vec::new();
        let mut aborted: Option<BoxFuture<'_, ()>> = None;
        while let Some((handler, task)) = consumers.last_mut() {
            let runs = match &mut aborted {
                None => tokio::select! {
                    biased;
                    joined = &mut *task => joined.map(|stopped| stopped.cut_off),
                    () = limit.clone() => {
                        consumers.iter().for_each(|(_, task)| task.abort());
                        aborted = Some(self.clock.sleep(ABORTED));
                        continue;
                    }
                },
                Some(over) => tokio::select! {
                    biased;
                    joined = &mut *task => joined.map(|stopped| stopped.cut_off),
                    () = &mut *over => {
                        aborted = Some(std::future::ready(()).boxed());
                        tracing::error!(handler, "a handler keeps its thread, and with it the process; nothing but its own end can stop it");
                        Ok(self.in_flight(handler))
                    }
                },
            };
            match runs {
                Ok(0) => {}
                Ok(runs) => cut_off.push((handler.clone(), runs)),
                Err(error) => {
                    tracing::error!(handler, %error, "a consumer did not end well");
                    cut_off.push((handler.clone(), self.in_flight(handler)));
                }
            }
            consumers.pop();
        }
        cut_off
    }

    /// How many runs a handler has, as its task said last.
    fn in_flight(&self, handler: &str) -> usize {
        let watched = self.subscriptions.iter().find(|watched| watched.handler == handler);
        watched.map_or(1, |watched| watched.sign.in_flight().max(1))
    }
}
