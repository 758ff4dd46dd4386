//! One delivery, from its decoding to the point where it may be acknowledged.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Stuck, sign::StuckRun};
use crate::{
    envelope::{self, Failure, Format, Message, Reason, attempts_so_far, copy_of, headers},
    event::DecodeError,
    handler::{Attempt, Bound, HandlerError, Received, Returned, Verdict, chain, fresh_id},
    publisher::{Entered, NotSent, Outgoing, PublishError},
    retry::{Decision, RetryPolicy},
    subscription::{RejectIf, Undecodable},
    time::Clock,
    topology::{dead_letter_exchange, ladder::Due},
    transport::{Backoff, Delivery},
};

/// How often the broker may deliver a message from a quorum queue and get no answer, before it counts as a failed run.
const ABANDONED: i64 = 3;

/// How long a copy waits that the broker refused, before it is sent again.
const REFUSED: Duration = Duration::from_secs(30);

/// What all runs of one handler share.
pub(crate) struct Worker {
    pub(crate) service: String,
    pub(crate) handler: String,
    /// The work queue's name; of a broadcast handler the name that its dead letters go by.
    pub(crate) queue: Arc<str>,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Duration,
    /// Nothing can stop a function on a thread of its own.
    pub(crate) blocking: bool,
    pub(crate) broadcast: bool,
    pub(crate) undecodable: Undecodable,
    pub(crate) format: Option<Format>,
    pub(crate) reject_if: Option<RejectIf>,
    pub(crate) body_limit: usize,
    pub(crate) bound: Bound,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) stuck: Stuck,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A run that failed.
struct Failed {
    reason: Reason,
    error: String,
    verdict: Verdict,
}

/// What follows a failed run.
enum Next {
    Again,
    After(Duration),
    DeadLetter,
}

/// What became of the events that a run returned.
enum Sent {
    Confirmed,
    /// The delivery comes again, so nobody waits for them.
    Gone,
    /// They can never be published.
    Never(PublishError),
}

impl Worker {
    /// Handles a delivery; true once all its effects are safe and it may be acknowledged, false if it comes again anyway:
    /// `gone` says that its channel is.
    pub(crate) async fn handle(&self, delivery: &Delivery, gone: &CancellationToken) -> bool {
        let message = &delivery.message;
        // One for the delivery: what its runs say and its copy must name the same cause.
        let fresh = OnceLock::new();
        let fresh_id = || fresh.get_or_init(fresh_id).clone();
        let mut attempt = attempts_so_far(message).saturating_add(1);
        if is_abandoned(delivery) {
            let error = format!(
                "it was delivered {ABANDONED} times or more, and each time the consumer ended before it answered"
            );
            let failed = Failed { reason: Reason::Abandoned, error, verdict: Verdict::Retry };
            let next = match self.decide(attempt, &failed) {
                // Not in this process: it may be what ends it.
                Next::Again => Next::After(Duration::ZERO),
                next => next,
            };
            self.log(message, attempt, &failed, &next);
            return self.hand_on(message, attempt, &failed, &next, fresh_id, gone).await;
        }
        loop {
            let failed = match self.run(message, attempt, fresh_id).await {
                Err(failed) => failed,
                Ok(events) if events.is_empty() => return true,
                Ok(events) => match self.publish(events, gone).await {
                    Sent::Confirmed => return true,
                    Sent::Gone => return false,
                    Sent::Never(error) => unpublishable(&error),
                },
            };
            let next = self.decide(attempt, &failed);
            self.log(message, attempt, &failed, &next);
            match next {
                Next::Again if gone.is_cancelled() && !self.broadcast => return false,
                Next::Again => {}
                // Nobody else has the copy of a broadcast: it waits here.
                Next::After(delay) if self.broadcast => self.clock.sleep(delay).await,
                next => return self.hand_on(message, attempt, &failed, &next, fresh_id, gone).await,
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// Runs the handler once.
    async fn run(
        &self,
        message: &Message,
        attempt: u32,
        fresh_id: impl FnOnce() -> String,
    ) -> Result<Vec<Message>, Failed> {
        if message.body.len() > self.body_limit {
            let error = DecodeError::TooLarge { size: message.body.len(), limit: self.body_limit };
            return Err(undecodable(&error));
        }
        let (run, span) = {
            let incoming = envelope::decode(message, self.format).map_err(|error| undecodable(&error))?;
            let metadata = &incoming.metadata;
            let span = tracing::info_span!(
                "handle",
                service = self.service,
                handler = self.handler,
                queue = &*self.queue,
                event = &*incoming.name,
                id = metadata.id(),
                attempt
            );
            let received =
                Received::new(incoming.payload(), metadata, Attempt { number: attempt, of: self.retry.attempts });
            let saying = Arc::clone(&self.outgoing.saying);
            let returned = Returned::new(saying, Arc::clone(&self.queue), metadata, fresh_id, self.clock.now());
            // A function that returns a future can panic before it has one.
            let called =
                span.in_scope(|| std::panic::catch_unwind(AssertUnwindSafe(|| (self.bound)(&received, returned))));
            (called.map_err(|panic| panicked(&*panic))?.map_err(|error| undecodable(&error))?, span)
        };
        let run = async {
            let ended = AssertUnwindSafe(run).catch_unwind().await;
            if let Ok(Ok(_)) = ended {
                tracing::debug!("the handler ended well");
            }
            ended
        };
        let run = run.instrument(span);
        let ended = if self.blocking {
            run.await
        } else {
            tokio::select! {
                biased;
                ended = run => ended,
                () = self.clock.sleep(self.timeout) => {
                    let error = format!("the handler did not end within {:?}", self.timeout);
                    return Err(Failed { reason: Reason::Timeout, error, verdict: Verdict::Retry });
                }
            }
        };
        let returned = match ended {
            Err(panic) => return Err(panicked(&*panic)),
            Ok(Err(error)) => return Err(self.classified(&error)),
            Ok(Ok(returned)) => returned,
        };
        let events = returned.into_messages().map_err(|error| unpublishable(&error.into()))?;
        events.iter().try_for_each(|event| self.outgoing.check(event)).map_err(|error| unpublishable(&error))?;
        Ok(events)
    }

    /// What a handler's error means. Its texts and `reject_if` are the user's code, too.
    fn classified(&self, error: &HandlerError) -> Failed {
        let classify = || {
            let rejected = self.reject_if.as_ref().is_some_and(|reject_if| reject_if(error.error()));
            let verdict = if rejected { Verdict::Reject } else { error.verdict() };
            let reason = if verdict == Verdict::Reject { Reason::Rejected } else { Reason::Error };
            Failed { reason, error: chain(error.error()), verdict }
        };
        std::panic::catch_unwind(AssertUnwindSafe(classify)).unwrap_or_else(|panic| panicked(&*panic))
    }

    /// Publishes what a run returned, for as long as the delivery lives.
    async fn publish(&self, mut events: Vec<Message>, gone: &CancellationToken) -> Sent {
        let (mut backoff, mut stuck) = (Backoff::default(), self.stuck.run());
        loop {
            let window = &self.outgoing.window;
            let sending = async {
                let mut entered = Vec::with_capacity(events.len());
                // One after the other, so that they are sent in their order.
                for event in events.drain(..) {
                    entered.push(window.send_patiently(event, true).await);
                }
                join_all(entered.into_iter().map(Entered::answer)).await
            };
            let answers = tokio::select! {
                biased;
                // First: what comes again anyway is not even begun.
                () = gone.cancelled() => return Sent::Gone,
                answers = self.patiently(sending, &mut stuck) => answers,
            };
            for not_sent in answers.into_iter().filter_map(Result::err) {
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
            self.clock.sleep(backoff.next()).await;
        }
    }

    /// An answer that is waited for as long as it takes; after the publish timeout its run is shown as stuck.
    async fn patiently<T>(&self, answer: impl Future<Output = T>, stuck: &mut StuckRun) -> T {
        let mut answer = std::pin::pin!(answer);
        let timeout = self.outgoing.window.timeout;
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = self.clock.sleep(timeout) => {}
        }
        let reason = format!("what follows from an event was not confirmed within {timeout:?}");
        tracing::warn!(queue = &*self.queue, reason, "an event that was handled is kept until it is");
        stuck.because(&reason);
        answer.await
    }

    /// Sends a copy of a failed message to the ladder or to the dead letters, for as long as the delivery lives.
    async fn hand_on(
        &self,
        message: &Message,
        attempt: u32,
        failed: &Failed,
        next: &Next,
        fresh_id: impl FnOnce() -> String,
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
        let id =
            || envelope::decode(message, self.format).ok().and_then(|read| read.metadata.id).unwrap_or_else(fresh_id);
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
            self.clock.sleep(wait).await;
        }
    }

    /// The exchange and the routing key of what follows.
    fn way(&self, next: &Next) -> (String, String) {
        let delay = match next {
            Next::DeadLetter => return (dead_letter_exchange(), self.queue.to_string()),
            Next::After(delay) => *delay,
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
                ladder.entry(longest, due).unwrap_or_else(|| (dead_letter_exchange(), self.queue.to_string()))
            }
        }
    }

    fn decide(&self, attempt: u32, failed: &Failed) -> Next {
        if failed.reason == Reason::Undecodable && self.undecodable == Undecodable::DeadLetter {
            return Next::DeadLetter;
        }
        match failed.verdict {
            Verdict::Reject => Next::DeadLetter,
            Verdict::RetryAfter(_) if attempt >= self.retry.attempts => Next::DeadLetter,
            Verdict::RetryAfter(delay) => Next::After(delay),
            Verdict::Retry => match self.retry.decide(attempt, fastrand::f64()) {
                Decision::Immediately => Next::Again,
                Decision::After(delay) => Next::After(delay),
                Decision::GiveUp => Next::DeadLetter,
            },
        }
    }

    fn log(&self, message: &Message, attempt: u32, failed: &Failed, next: &Next) {
        let incoming = envelope::decode(message, self.format).ok();
        let event = incoming.as_ref().map_or(&*message.routing_key, |incoming| &incoming.name);
        let id =
            incoming.as_ref().and_then(|incoming| incoming.metadata.id()).or(message.properties.message_id.as_deref());
        macro_rules! line {
            ($level:ident, $($text:tt)+) => {
                tracing::$level!(
                    service = self.service,
                    handler = self.handler,
                    queue = &*self.queue,
                    event,
                    id,
                    attempt,
                    of = self.retry.attempts,
                    reason = %failed.reason,
                    error = failed.error,
                    $($text)+
                )
            };
        }
        match next {
            Next::Again => line!(warn, "a handler failed; running it again at once"),
            Next::After(delay) => line!(warn, delay = ?delay, "a handler failed; retrying later"),
            Next::DeadLetter => line!(error, "a handler failed for the last time; the event goes to the dead letters"),
        }
    }
}

/// Whether it was delivered again and again with no answer. Both are hints that a sender can forge, so both must say so.
fn is_abandoned(delivery: &Delivery) -> bool {
    let count = delivery.message.properties.headers.get(headers::DELIVERY_COUNT);
    delivery.redelivered && count.and_then(envelope::HeaderValue::as_integer).is_some_and(|count| count >= ABANDONED)
}

fn undecodable(error: &DecodeError) -> Failed {
    Failed { reason: Reason::Undecodable, error: chain(error), verdict: Verdict::Retry }
}

fn unpublishable(error: &PublishError) -> Failed {
    Failed { reason: Reason::Unpublishable, error: chain(error), verdict: Verdict::Retry }
}

fn panicked(panic: &(dyn Any + Send)) -> Failed {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let error = format!("the handler panicked: {}", text.unwrap_or("with something that is no text"));
    Failed { reason: Reason::Panic, error, verdict: Verdict::Retry }
}
