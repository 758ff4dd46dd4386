//! The way into the publishing task: bounded, and each message with an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    Obstacle, PublishError,
    obstacle::{Standing, interruption},
    stage::Stage,
};
use crate::{envelope::Message, time::Clock, transport::Shown};

/// A message on its way, until the broker has confirmed it.
pub(super) struct Job {
    pub(super) message: Message,
    /// Whether the broker says so when no queue is bound for it.
    pub(super) mandatory: bool,
    /// How often the broker would not store it.
    pub(super) nacks: u32,
    /// How long it has rested in between.
    pub(super) rested: Duration,
    /// While the broker owes an answer: how many looks at what is overdue it has seen.
    pub(super) looks: Option<u32>,
    /// Whether it was on its way when the broker closed a channel over one message. Alone, it shows whether it was that.
    pub(super) suspect: bool,
    /// Whether it was written on a channel that was lost before its answer.
    pub(super) in_doubt: bool,
    pub(super) missed: Missed,
    stage: Stage,
    answer: oneshot::Sender<Answer>,
    /// Its place in the window.
    _place: OwnedSemaphorePermit,
}

/// Whether the broker missed the exchange of a message, which is one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    Never,
    /// The last time that it was written, so nothing of it is stored.
    Now,
    /// Before that.
    Once,
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

    /// Whether it may be written now. What nobody waits for is not, and what was written once can be withdrawn no more.
    pub(super) fn begins(&self) -> bool {
        !self.is_abandoned() && self.stage.write()
    }

    /// Whether it was written, on whatever channel.
    pub(super) fn is_written(&self) -> bool {
        self.stage.is_written()
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
    task: Arc<Task>,
    /// Bounds what is on its way: a job keeps its place until it is answered.
    places: Arc<Semaphore>,
    size: usize,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a caller waits for a confirm.
    pub(crate) timeout: Duration,
}

/// What both sides of the window know of the publishing task.
pub(super) struct Task {
    /// Whether it is gone.
    gone: AtomicBool,
    /// Told when somebody no longer waits for an answer.
    pub(super) given_up: Notify,
    pub(super) standing: Standing,
}

impl Window {
    pub(crate) fn new(service: &str, size: usize, timeout: Duration, clock: Arc<dyn Clock>) -> (Self, Jobs) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let standing = Standing::new(service, Arc::clone(&clock));
        let task = Arc::new(Task { gone: AtomicBool::new(false), given_up: Notify::new(), standing });
        let jobs_of_task = Jobs { _gone: Gone(Arc::clone(&task)), receiver, task: Arc::clone(&task) };
        (Self { jobs, task, places: Arc::new(Semaphore::new(size)), size, clock, timeout }, jobs_of_task)
    }

    /// How the publishing channel is, while it is interrupted.
    pub(crate) fn interruption(&self) -> Option<Shown> {
        interruption(&self.task.standing.life)
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
            () = &mut time => {
                let full = Obstacle::WindowFull { size: self.size };
                Err(PublishError::NeverSent { event, after, obstacle: self.task.standing.obstacle().unwrap_or(full) })
            }
        }
    }

    /// The same without a limit of time: for what must not be given up as long as its cause waits for it.
    pub(crate) async fn send_patiently(&self, message: Message, mandatory: bool) -> Entered {
        let (answer, mut answered) = oneshot::channel();
        let stage = Stage::default();
        // The semaphore is never closed.
        if let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            let stage = stage.clone();
            let (nacks, rested, looks) = (0, Duration::ZERO, None);
            let (suspect, in_doubt, missed) = (false, false, Missed::Never);
            let job = Job {
                message,
                mandatory,
                nacks,
                rested,
                looks,
                suspect,
                in_doubt,
                missed,
                stage,
                answer,
                _place: place,
            };
            if let Err(unsent) = self.jobs.send(job) {
                let Job { message, answer, .. } = unsent.0;
                let error = PublishError::Closed { event: event_name(&message) };
                let _ = answer.send(Err(Box::new(NotSent { message, error })));
            }
            // A receiver that is dropped while we send may miss the job, which then has nobody to answer it.
            fence(Ordering::SeqCst);
            if self.task.gone.load(Ordering::Acquire) {
                answered = oneshot::channel().1;
            }
        }
        Entered { answered, stage, task: Arc::clone(&self.task), is_over: false }
    }
}

/// A message in the window, before its answer. Dropped before that, it is given up: what is not written yet never will be.
pub(crate) struct Entered {
    answered: oneshot::Receiver<Answer>,
    stage: Stage,
    task: Arc<Task>,
    /// Whether the answer has come.
    is_over: bool,
}

impl Entered {
    /// What becomes of it.
    pub(crate) async fn answer(mut self) -> Answer {
        self.next().await
    }

    async fn next(&mut self) -> Answer {
        let answer = (&mut self.answered).await;
        self.is_over = true;
        // The task drops a job unanswered only when it is cut off.
        answer.unwrap_or_else(|_| {
            let error = PublishError::Closed { event: String::new() };
            Err(Box::new(NotSent { message: Message::default(), error }))
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.is_over {
            // Before the task is told, which then finds it abandoned.
            self.answered.close();
            self.task.given_up.notify_one();
        }
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
        let Self { mut entered, event, mut time, after } = self;
        let answer = tokio::select! {
            biased;
            answer = entered.next() => answer,
            () = &mut time => {
                let obstacle = entered.task.standing.obstacle().unwrap_or(Obstacle::Slow);
                if entered.stage.withdraw() {
                    return Err(PublishError::NeverSent { event, after, obstacle });
                }
                // The answer may have come at the last moment; from now on none can.
                entered.answered.close();
                match entered.answered.try_recv() {
                    Ok(answer) => answer,
                    Err(_) => return Err(PublishError::TimedOut { event, after, obstacle }),
                }
            }
        };
        match answer.map_err(|not_sent| not_sent.error) {
            Err(PublishError::Closed { .. }) if entered.stage.is_written() => Err(PublishError::CutOff { event }),
            Err(PublishError::Closed { .. }) => Err(PublishError::Closed { event }),
            answer => answer,
        }
    }
}

/// The receiving side, for the publishing task.
pub(crate) struct Jobs {
    /// Dropped first: whoever sends a job that is missed below sees it.
    _gone: Gone,
    pub(super) receiver: mpsc::UnboundedReceiver<Job>,
    pub(super) task: Arc<Task>,
}

/// Says when it is dropped that the task is gone.
struct Gone(Arc<Task>);

impl Drop for Gone {
    fn drop(&mut self) {
        // Released, so that whoever sees it also sees what the task has written.
        self.0.gone.store(true, Ordering::Release);
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
            let (window, jobs) = Window::new("a test", 8, Duration::from_secs(30), Arc::new(SystemClock));
            let going = tokio::task::spawn_blocking(move || drop(jobs));
            let answer = async { window.send_patiently(Message::default(), false).await.answer().await };
            let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap();
            assert!(matches!(answer.unwrap_err().error, PublishError::Closed { .. }));
            going.await.unwrap();
        }
    }
}
