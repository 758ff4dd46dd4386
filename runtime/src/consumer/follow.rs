//! What follows a run, on its way to the broker: the events that it returned, or the copy that replaces a failed message.

use std::time::Duration;

use smol_str::SmolStr;
use tokio_util::sync::CancellationToken;

use super::{
    sign::StuckRun,
    worker::{Failed, Worker},
};
use crate::{
    envelope::{self, Failure, Message, copy_of},
    observe::Next,
    publisher::{NotSent, PublishError},
    time::within,
    topology::ladder::Due,
    transport::Backoff,
};

/// How long a copy waits that the broker refused, before it is sent again.
const REFUSED: Duration = Duration::from_secs(30);

/// What became of the events that a run returned.
pub(super) enum Sent {
    Confirmed,
    /// The delivery comes again, so nobody waits for them.
    Gone,
    /// They can never be published.
    Never(PublishError),
}

impl Worker {
    /// Publishes what a run returned, for as long as the delivery lives.
    pub(super) async fn publish(&self, mut events: Vec<Message>, gone: &CancellationToken) -> Sent {
        if events.is_empty() {
            return Sent::Confirmed;
        }
        let (mut backoff, mut stuck) = (Backoff::default(), self.stuck.run());
        loop {
            let window = &self.outgoing.window;
            let sending = async {
                let mut entered = Vec::with_capacity(events.len());
                // One after the other, so that they are sent in their order.
                for event in events.drain(..) {
                    entered.push(window.send_patiently(event, true).await);
                }
                let mut not_sent = Vec::new();
                // Their answers come in any order, and wait to be read.
                for entered in entered {
                    not_sent.extend(entered.answer().await.err());
                }
                not_sent
            };
            let not_sent = tokio::select! {
                biased;
                // First: what comes again anyway is not even begun.
                () = gone.cancelled() => return Sent::Gone,
                not_sent = self.patiently(sending, &mut stuck) => not_sent,
            };
            for not_sent in not_sent {
                let NotSent { message, error } = *not_sent;
                match error {
                    PublishError::Closed { .. } => return Sent::Gone,
                    PublishError::Nacked { .. } => {
                        stuck.because(&error);
                        if backoff.is_worth_a_line() {
                            tracing::warn!(queue = &*self.queue, %error, "an event that a handler returned is not confirmed; sending it again");
                        }
                        events.push(message);
                    }
                    error => return Sent::Never(error),
                }
            }
            if events.is_empty() {
                return Sent::Confirmed;
            }
            tokio::select! {
                biased;
                () = gone.cancelled() => return Sent::Gone,
                () = self.clock.sleep(backoff.next()) => {}
            }
        }
    }

    /// An answer that is waited for as long as it takes; after the publish timeout its run is shown as stuck.
    async fn patiently<T>(&self, answer: impl Future<Output = T>, stuck: &mut StuckRun) -> T {
        let mut answer = std::pin::pin!(answer);
        let timeout = self.outgoing.window.timeout;
        if let Some(answer) = within(&*self.clock, timeout, answer.as_mut()).await {
            return answer;
        }
        let reason = format!("what follows from an event was not confirmed within {timeout:?}");
        tracing::warn!(queue = &*self.queue, reason, "an event that was handled is kept until it is");
        stuck.because(&reason);
        answer.await
    }

    /// Sends a copy of a failed message to the ladder or to the dead letters, for as long as the delivery lives.
    pub(super) async fn hand_on(
        &self,
        message: &Message,
        attempt: u32,
        failed: &Failed,
        next: Next,
        fresh_id: impl FnOnce() -> SmolStr,
        gone: &CancellationToken,
    ) -> bool {
        let (exchange, routing_key) = self.way(next);
        let failure = Failure {
            reason: failed.reason,
            error: failed.error.clone(),
            service: self.service.clone(),
            handler: self.handler.clone(),
            queue: self.queue.to_string(),
            attempt,
            at: self.clock.now(),
        };
        // Its envelope may have an id that its properties lack.
        let id = || {
            envelope::decode(message, self.format)
                .ok()
                .and_then(|read| read.known().id.clone())
                .unwrap_or_else(fresh_id)
        };
        let mut copy = copy_of(message, &failure, exchange, routing_key, id, self.outgoing.limits());
        let (window, mut backoff, mut stuck) = (&self.outgoing.window, Backoff::default(), self.stuck.run());
        loop {
            let answer = tokio::select! {
                biased;
                // First: a copy beside what comes again would be one more event. But the queue of a broadcast went with its
                // channel, so this is the only copy.
                () = gone.cancelled(), if !self.broadcast => return false,
                answer = self.patiently(async { window.send_patiently(copy, false).await.answer().await }, &mut stuck) => answer,
            };
            let Err(not_sent) = answer else { return true };
            if let PublishError::Closed { .. } = not_sent.error {
                return false;
            }
            stuck.because(&not_sent.error);
            let mut wait = backoff.next();
            if let PublishError::Refused { .. } = not_sent.error {
                // Each refusal costs all publishers of the service a channel.
                wait += REFUSED;
            }
            if backoff.is_worth_a_line() {
                tracing::error!(
                    queue = &*self.queue,
                    error = %not_sent.error,
                    "cannot move a failed event on; it is kept, and sent again"
                );
            }
            copy = not_sent.message;
            tokio::select! {
                biased;
                () = gone.cancelled(), if !self.broadcast => return false,
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    /// The exchange and the routing key of what follows.
    fn way(&self, next: Next) -> (String, String) {
        let delay = match next {
            Next::DeadLetter => return self.to_the_dead(),
            Next::After(delay) => delay,
            Next::Again => Duration::ZERO,
        };
        let ladder = &self.outgoing.ladder;
        let due = Due::Queue(&self.queue);
        match ladder.entry(delay, due) {
            Some(way) => way,
            None => {
                let longest = ladder.longest();
                tracing::warn!(
                    queue = &*self.queue,
                    ?delay,
                    ?longest,
                    "a retry is asked for later than the delay ladder holds, and comes earlier; see Service::schedules_up_to"
                );
                // The longest that it holds always has a way.
                ladder.entry(longest, due).unwrap_or_else(|| self.to_the_dead())
            }
        }
    }

    fn to_the_dead(&self) -> (String, String) {
        (self.outgoing.dead_letters.clone(), self.queue.to_string())
    }
}
