//! The way into the publishing task: bounded, and each message with an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::PublishError;
use crate::{envelope::Message, time::Clock};

/// A message on its way, until the broker has confirmed it.
pub(super) struct Job {
    pub(super) message: Message,
    /// Whether the broker says so when no queue is bound for it.
    pub(super) mandatory: bool,
    /// How often the broker would not store it.
    pub(super) nacks: u32,
    /// While the broker owes an answer: how many looks at what is overdue it has seen.
    pub(super) looks: Option<u32>,
    answer: oneshot::Sender<Answer>,
    /// Its place in the window.
    _place: OwnedSemaphorePermit,
}

/// What becomes of a message: with the error it comes back, to be sent again without a copy.
pub(crate) type Answer = Result<(), Box<NotSent>>;

/// A message that was not confirmed.
pub(crate) struct NotSent {
    pub(crate) message: Message,
    pub(crate) error: PublishError,
}

impl Job {
    /// Whether nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    pub(super) fn confirm(self) {
        // Nobody waits when the caller's time is over; the event is confirmed all the same.
        let _ = self.answer.send(Ok(()));
    }

    pub(super) fn fail(self, error: PublishError) {
        if let Err(Err(unheard)) = self.answer.send(Err(Box::new(NotSent { message: self.message, error }))) {
            tracing::warn!(error = %unheard.error, "an event whose caller no longer waits was not published");
        }
    }
}

/// The sending side of the publish window, cheap to clone.
#[derive(Clone)]
pub(crate) struct Window {
    jobs: mpsc::UnboundedSender<Job>,
    /// Whether the task is gone.
    gone: Arc<AtomicBool>,
    /// Bounds what is on its way: a job keeps its place until it is answered.
    places: Arc<Semaphore>,
    size: usize,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a caller waits for a confirm.
    pub(crate) timeout: Duration,
}

impl Window {
    pub(crate) fn new(size: usize, timeout: Duration, clock: Arc<dyn Clock>) -> (Self, Jobs) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let gone = Arc::new(AtomicBool::new(false));
        let jobs_of_task = Jobs { _gone: Gone(Arc::clone(&gone)), receiver };
        (Self { jobs, gone, places: Arc::new(Semaphore::new(size)), size, clock, timeout }, jobs_of_task)
    }

    /// How many messages have no answer yet.
    pub(crate) fn on_their_way(&self) -> usize {
        self.size.saturating_sub(self.places.available_permits())
    }

    /// Puts a message into the window; what this gives ends once it is confirmed. Both together take the publish timeout at
    /// most. Messages that are put in one after the other are sent in that order.
    pub(crate) async fn send(&self, message: Message, mandatory: bool, event: String) -> Result<Sending, PublishError> {
        let (mut time, after) = (self.clock.sleep(self.timeout), self.timeout);
        tokio::select! {
            biased;
            entered = self.send_patiently(message, mandatory) => Ok(Sending { entered, event, time, after }),
            () = &mut time => Err(PublishError::TimedOut { event, after }),
        }
    }

    /// The same without a limit of time: for what must not be given up as long as its cause waits for it.
    pub(crate) async fn send_patiently(&self, message: Message, mandatory: bool) -> Entered {
        let (answer, answered) = oneshot::channel();
        // The semaphore is never closed.
        if let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            let job = Job { message, mandatory, nacks: 0, looks: None, answer, _place: place };
            if let Err(unsent) = self.jobs.send(job) {
                let Job { message, answer, .. } = unsent.0;
                let error = PublishError::Closed { event: event_name(&message) };
                let _ = answer.send(Err(Box::new(NotSent { message, error })));
            }
            // A receiver that is dropped while we send may miss the job, which then has nobody to answer it.
            fence(Ordering::SeqCst);
            if self.gone.load(Ordering::Relaxed) {
                return Entered(oneshot::channel().1);
            }
        }
        Entered(answered)
    }
}

/// A message in the window, before its answer.
pub(crate) struct Entered(oneshot::Receiver<Answer>);

impl Entered {
    /// What becomes of it.
    pub(crate) async fn answer(self) -> Answer {
        // The task drops a job unanswered only when it is cut off.
        self.0.await.unwrap_or_else(|_| {
            let error = PublishError::Closed { event: String::new() };
            Err(Box::new(NotSent { message: Message::default(), error }))
        })
    }
}

/// A message in the window, with the rest of its time.
pub(crate) struct Sending {
    entered: Entered,
    event: String,
    time: BoxFuture<'static, ()>,
    after: Duration,
}

impl Sending {
    /// Returns once it is confirmed.
    pub(crate) async fn confirmed(self) -> Result<(), PublishError> {
        let Self { entered, event, time, after } = self;
        tokio::select! {
            biased;
            answer = entered.answer() => match answer.map_err(|not_sent| not_sent.error) {
                Err(PublishError::Closed { .. }) => Err(PublishError::Closed { event }),
                answer => answer,
            },
            () = time => Err(PublishError::TimedOut { event, after }),
        }
    }
}

/// The receiving side, for the publishing task.
pub(crate) struct Jobs {
    /// Dropped first: whoever sends a job that is missed below sees it.
    _gone: Gone,
    pub(super) receiver: mpsc::UnboundedReceiver<Job>,
}

/// Says when it is dropped that the task is gone.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

/// The name of the event that a message holds, for errors.
pub(crate) fn event_name(message: &Message) -> String {
    message.properties.kind.clone().unwrap_or_else(|| message.routing_key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_sends_while_the_task_goes_is_answered() {
        for _ in 0..2_000 {
            let (window, jobs) = Window::new(8, Duration::from_secs(30), Arc::new(SystemClock));
            let going = tokio::task::spawn_blocking(move || drop(jobs));
            let answer = async { window.send_patiently(Message::default(), false).await.answer().await };
            let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap();
            assert!(matches!(answer.unwrap_err().error, PublishError::Closed { .. }));
            going.await.unwrap();
        }
    }
}
