//! What is told of a run: to the log, and to the service's observer.

use std::{panic::AssertUnwindSafe, time::Duration};

use tokio_util::sync::CancellationToken;

use super::worker::{Failed, Worker};
use crate::{
    envelope::{self, Message},
    event::Metadata,
    observe::{Next, Run, RunEnd},
};

impl Worker {
    /// Tells of a run that ended well, to whoever wants to know.
    pub(super) fn observe(&self, message: &Message, attempt: u32, end: RunEnd<'_>, took: Duration) {
        if !self.observers.is_empty() {
            self.about(message, attempt, end, took, &|run| self.tell(run));
        }
    }

    /// Says of a failed run what follows: to the log, and to whoever else wants to know.
    pub(super) fn failed(&self, message: &Message, attempt: u32, failed: &Failed, next: Next, took: Duration) {
        let end = RunEnd::Failed { reason: failed.reason, error: &failed.error, next };
        self.about(message, attempt, end, took, &|run| {
            macro_rules! line {
                ($level:ident, $($text:tt)+) => {
                    tracing::$level!(
                        service = run.service,
                        handler = run.handler,
                        queue = run.queue,
                        event = run.event,
                        id = run.id,
                        attempt,
                        of = run.of,
                        reason = %failed.reason,
                        error = failed.error,
                        $($text)+
                    )
                };
            }
            match next {
                Next::Again => line!(warn, "a handler failed; running it again at once"),
                Next::After(delay) => line!(warn, delay = ?delay, "a handler failed; retrying later"),
                Next::DeadLetter => {
                    line!(error, "a handler failed for the last time; the event goes to the dead letters");
                }
            }
            self.tell(run);
        });
    }

    /// Whether nothing follows a failed run, since its channel is gone and its event comes again. Nobody else has the copy of a
    /// broadcast.
    pub(super) fn comes_again(
        &self,
        message: &Message,
        attempt: u32,
        failed: &Failed,
        gone: &CancellationToken,
    ) -> bool {
        let comes_again = gone.is_cancelled() && !self.broadcast;
        if comes_again {
            tracing::warn!(
                service = self.service,
                handler = self.handler,
                queue = &*self.queue,
                id = message.properties.message_id.as_deref(),
                attempt,
                reason = %failed.reason,
                error = failed.error,
                "a handler failed whose channel was lost meanwhile; its event comes again, and no attempt is spent"
            );
        }
        comes_again
    }

    /// An observer is the user's code: should it panic, the event is none the worse for it.
    fn tell(&self, run: &Run<'_>) {
        for observer in &*self.observers {
            if std::panic::catch_unwind(AssertUnwindSafe(|| observer.ran(run))).is_err() {
                tracing::error!(service = run.service, handler = run.handler, "an observer of the service panicked");
            }
        }
    }

    /// Gives a run with the names that its message has.
    fn about(&self, message: &Message, attempt: u32, end: RunEnd<'_>, took: Duration, tell: &dyn Fn(&Run<'_>)) {
        let incoming = envelope::decode(message, self.format).ok();
        let metadata = incoming.as_ref().map(envelope::Incoming::known);
        tell(&Run {
            service: &self.service,
            handler: &self.handler,
            queue: &self.queue,
            event: incoming.as_ref().map_or(&*message.routing_key, |incoming| &incoming.name),
            id: metadata.and_then(Metadata::id).or(message.properties.message_id.as_deref()),
            key: metadata.and_then(Metadata::key),
            source: metadata.and_then(Metadata::source).or(message.properties.app_id.as_deref()),
            attempt,
            of: self.retry.attempts,
            end,
            took,
        });
    }
}
