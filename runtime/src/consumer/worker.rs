//! One delivery, from its decoding to the point where it may be acknowledged.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::FutureExt;
use smol_str::SmolStr;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Stuck, follow::Sent};
use crate::{
    envelope::{self, Format, HeaderValue, Message, Reason, attempts_so_far, headers},
    event::DecodeError,
    handler::{Attempt, Bound, HandlerError, Received, Returned, Verdict, chain, fresh_id},
    observe::{Next, Observer, RunEnd},
    publisher::{Outgoing, PublishError},
    retry::{Decision, RetryPolicy},
    subscription::{RejectIf, Undecodable},
    time::{Clock, within},
    topology::WORK_QUEUE_DELIVERIES,
    transport::Delivery,
};

/// How often the broker may deliver a message from a quorum queue and get no answer, before it counts as a failed run.
const ABANDONED: i64 = 3;
/// The same after many losses: well before the broker itself gives the message up.
const ABANDONED_AT_LAST: i64 = WORK_QUEUE_DELIVERIES - 3;

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
    /// Whether it needs the metadata of what it handles.
    pub(crate) reads_metadata: bool,
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) stuck: Stuck,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Arc<[Arc<dyn Observer>]>,
}

/// A run that failed.
pub(super) struct Failed {
    pub(super) reason: Reason,
    pub(super) error: String,
    verdict: Verdict,
}

impl Worker {
    /// Handles a delivery; true once all its effects are safe and it may be acknowledged, false if it comes again anyway:
    /// `gone` says that its channel is. So many channels were `survived` by this process.
    pub(crate) async fn handle(&self, delivery: &Delivery, gone: &CancellationToken, survived: u64) -> bool {
        let message = &delivery.message;
        // One for the delivery: what its runs say and its copy must name the same cause.
        let fresh = OnceLock::new();
        let fresh_id = || fresh.get_or_init(fresh_id).clone();
        let mut attempt = attempts_so_far(message).saturating_add(1);
        if let Some(count) = abandoned(delivery, survived) {
            let error = format!("it was delivered {count} times, and each time the consumer ended before it answered");
            let failed = Failed { reason: Reason::Abandoned, error, verdict: Verdict::Retry };
            let next = match self.decide(attempt, &failed) {
                // Not in this process: it may be what ends it.
                Next::Again => Next::After(Duration::ZERO),
                next => next,
            };
            if self.comes_again(message, attempt, &failed, gone) {
                return false;
            }
            self.failed(message, attempt, &failed, next, Duration::ZERO);
            return Box::pin(self.hand_on(message, attempt, &failed, next, fresh_id, gone)).await;
        }
        loop {
            let began = (!self.observers.is_empty()).then(|| self.clock.now());
            let took = || began.and_then(|began| self.clock.now().duration_since(began).ok()).unwrap_or_default();
            let failed = match self.run(message, attempt, fresh_id).await {
                Err(failed) => failed,
                Ok(events) => {
                    let published = events.len();
                    let sent = match events.is_empty() {
                        true => Sent::Confirmed,
                        false => Box::pin(self.publish(events, gone)).await,
                    };
                    match sent {
                        Sent::Confirmed => {
                            self.observe(message, attempt, RunEnd::Done { published }, took());
                            return true;
                        }
                        Sent::Gone => return false,
                        Sent::Never(error) => unpublishable(&error),
                    }
                }
            };
            if self.comes_again(message, attempt, &failed, gone) {
                return false;
            }
            let next = self.decide(attempt, &failed);
            // Nobody else has the copy of a broadcast: it waits here. The wait begins before it is told of.
            let here = match next {
                Next::After(delay) if self.broadcast => Some(self.clock.sleep(delay)),
                _ => None,
            };
            self.failed(message, attempt, &failed, next, took());
            match (next, here) {
                (_, Some(wait)) => wait.await,
                (Next::Again, None) => {}
                // In a box, like all that few runs come to: the others are smaller for it.
                (next, None) => {
                    return Box::pin(self.hand_on(message, attempt, &failed, next, fresh_id, gone)).await;
                }
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// Runs the handler once.
    async fn run(
        &self,
        message: &Message,
        attempt: u32,
        fresh_id: impl FnOnce() -> SmolStr,
    ) -> Result<Vec<Message>, Failed> {
        if message.body.len() > self.body_limit {
            let error = DecodeError::TooLarge { size: message.body.len(), limit: self.body_limit };
            return Err(undecodable(&error));
        }
        let (run, span) = {
            let incoming = envelope::decode(message, self.format).map_err(|error| undecodable(&error))?;
            if self.reads_metadata {
                incoming.metadata().map_err(|error| undecodable(&error))?;
            }
            let span = tracing::info_span!(
                "handle",
                service = self.service,
                handler = self.handler,
                queue = &*self.queue,
                event = &*incoming.name,
                id = incoming.known().id(),
                attempt
            );
            let received = Received::new(&incoming, Attempt { number: attempt, of: self.retry.attempts });
            let saying = Arc::clone(&self.outgoing.saying);
            let cause = self.reads_metadata.then(|| incoming.known());
            let returned = Returned::new(saying, Arc::clone(&self.queue), cause, fresh_id, self.clock.now());
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
            match within(&*self.clock, self.timeout, run).await {
                Some(ended) => ended,
                None => {
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
}

/// How often it was delivered, if that is too often with no answer. Both are hints that a sender can forge, so both must say
/// so. A channel that was lost while its process lived on is not to be held against what it had: each such loss counts as a
/// delivery of all that the broker had sent ahead.
fn abandoned(delivery: &Delivery, survived: u64) -> Option<i64> {
    let limit = ABANDONED.saturating_add_unsigned(survived).min(ABANDONED_AT_LAST);
    let count = unanswered(delivery);
    (count >= limit).then_some(count)
}

/// How often it was delivered before and got no answer; 0 where the broker does not count.
pub(super) fn unanswered(delivery: &Delivery) -> i64 {
    let count = delivery.message.properties.headers.get(headers::DELIVERY_COUNT);
    let count = count.filter(|_| delivery.redelivered).and_then(HeaderValue::as_integer);
    count.unwrap_or_default()
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
