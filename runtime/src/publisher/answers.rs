//! What the broker says of the messages on their way, and who is told.

use std::{sync::atomic::Ordering, time::Duration};

use super::{PublishError, Unrouted, flight::InFlight, pipeline::Pipeline, window::Missed};
use crate::transport::{Answer, Confirmed, NOT_FOUND, Returned, TransportError};

/// How long a message rests that the broker would not store, the first time; then twice as long each time. Few tries in a long
/// time, for each of them stores one more copy in the queues that do take it.
const REST: Duration = Duration::from_millis(100);
/// How many names are warned of when nobody listens to them.
const WARNED_NAMES: usize = 1024;

impl Pipeline {
    /// Takes what the broker says of messages. Only after all that has come together may the batch be complete.
    ///
    /// # Errors
    /// It says that the channel is gone.
    pub(super) fn answered(
        &mut self,
        flight: &mut InFlight,
        answers: impl IntoIterator<Item = (u64, Answer)>,
    ) -> Result<(), TransportError> {
        for (number, answer) in answers {
            self.one_answered(flight, number, answer)?;
        }
        self.answer_batch_if_complete(flight);
        Ok(())
    }

    fn one_answered(&mut self, flight: &mut InFlight, number: u64, answer: Answer) -> Result<(), TransportError> {
        let (confirmed, returned) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                match &error {
                    // It was alone.
                    TransportError::Refused { code, text } if flight.confirms.is_empty() => {
                        self.convict(number, *code, text);
                    }
                    TransportError::Refused { .. } => self.unanswered.suspect_all(),
                    _ => {}
                }
                return Err(error);
            }
        };
        if let Some(returned) = returned {
            self.came_back(flight, returned);
        }
        match confirmed {
            Confirmed::Nack => self.nacked(flight, number),
            Confirmed::Ack if self.unrouted == Unrouted::Fail => {
                if let Some(job) = self.unanswered.get_mut(number) {
                    job.looks = None;
                }
                flight.confirmed.push(number);
            }
            Confirmed::Ack => {
                if let Some(job) = self.unanswered.remove(number) {
                    job.confirm();
                }
            }
        }
        flight.overdue.remove(&number);
        Ok(())
    }

    /// The broker will never take this one, and closed the channel over it.
    pub(super) fn convict(&mut self, number: u64, code: u16, text: &str) {
        if let Some(mut job) = self.unanswered.remove(number) {
            self.convicted = true;
            if code == NOT_FOUND && job.missed == Missed::Never && self.link.declares(&job.message().exchange) {
                // Somebody deleted an exchange of ours: once that is declared again, this one finds it.
                job.missed = Missed::Now;
                self.unanswered.keep(number, job);
                return;
            }
            let (event, in_doubt) = (job.event(), job.in_doubt);
            job.fail(PublishError::Refused { event, code, text: text.to_owned(), in_doubt });
        }
    }

    fn nacked(&mut self, flight: &mut InFlight, number: u64) {
        let Some(mut job) = self.unanswered.remove(number) else { return };
        self.refusals.refused(self.clock.now());
        job.nacks += 1;
        job.looks = None;
        let rest = REST.saturating_mul(1 << (job.nacks - 1).min(20)).mul_f64(f64::midpoint(fastrand::f64(), 1.0));
        // A queue whose leader is gone has another within seconds, one that is full may stay so: half of the caller's time is
        // for the tries, so that it hears of them before that is over.
        if job.rested + rest > self.patience / 2 {
            let (event, tries) = (job.event(), job.nacks);
            job.fail(PublishError::Nacked { event, tries });
            return;
        }
        job.rested += rest;
        self.unanswered.keep(number, job);
        let rest = self.clock.sleep(rest);
        flight.resting.push(Box::pin(async move {
            rest.await;
            number
        }));
    }

    fn came_back(&mut self, flight: &mut InFlight, returned: Returned) {
        self.unrouted_count.fetch_add(1, Ordering::Relaxed);
        if self.warned.len() < WARNED_NAMES && self.warned.insert(returned.routing_key.to_string()) {
            tracing::warn!(
                event = &*returned.routing_key,
                exchange = &*returned.exchange,
                "an event reached no queue: nothing is bound for it; said once for each name"
            );
        }
        if self.unrouted == Unrouted::Fail {
            flight.returned.insert(returned);
        }
    }

    /// Answers once all confirms of the batch are in, and with them all that came back.
    pub(super) fn answer_batch_if_complete(&mut self, flight: &mut InFlight) {
        if !flight.is_complete() {
            return;
        }
        for number in flight.confirmed.drain(..) {
            let Some(job) = self.unanswered.remove(number) else { continue };
            // Not by the id alone: two events may have been given the same.
            let as_returned = Returned {
                message_id: job.message().properties.message_id.clone(),
                exchange: job.message().exchange.clone(),
                routing_key: job.message().routing_key.clone(),
            };
            if job.mandatory() && flight.returned.contains(&as_returned) {
                let (event, in_doubt) = (job.event(), job.in_doubt);
                job.fail(PublishError::Unrouted { event, exchange: as_returned.exchange.into(), in_doubt });
            } else {
                job.confirm();
            }
        }
        flight.returned.clear();
    }
}
