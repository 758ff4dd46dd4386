//! The way into the publishing task: bounded, and each message with an answer.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering, fence},
    },
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, mpsc};

use super::{
    PublishError,
    obstacle::{Standing, interruption},
    parcel::Parcel,
    sending::Entered,
};
use crate::{envelope::Message, time::Clock, transport::Shown};

/// A message on its way, as the publishing task has it until the broker has confirmed it. Dropped before that, it leaves its caller
/// without an answer, who is told so.
pub(super) struct Job {
    parcel: Arc<Parcel>,
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
    /// Whether it holds a place in the window.
    has_place: bool,
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

/// A message that was not confirmed, to be sent again.
pub(crate) struct NotSent {
    pub(crate) message: Message,
    pub(crate) error: PublishError,
}

impl Job {
    /// A message that has a place in the window.
    fn new(parcel: Arc<Parcel>) -> Self {
        Self {
            parcel,
            nacks: 0,
            rested: Duration::ZERO,
            looks: None,
            suspect: false,
            in_doubt: false,
            missed: Missed::Never,
            has_place: true,
        }
    }

    pub(super) fn message(&self) -> &Message {
        &self.parcel.message
    }

    /// Whether the broker says so when no queue is bound for it.
    pub(super) fn mandatory(&self) -> bool {
        self.parcel.mandatory
    }

    /// The name of its event, for errors.
    pub(super) fn event(&self) -> String {
        self.parcel.event()
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.parcel.is_given_up()
    }

    /// Whether it may be written now. What nobody waits for is not, and what was written once can be withdrawn no more.
    pub(super) fn begins(&self) -> bool {
        !self.is_abandoned() && self.parcel.stage.write()
    }

    /// Whether it was written, on whatever channel.
    pub(super) fn is_written(&self) -> bool {
        self.parcel.stage.is_written()
    }

    pub(super) fn confirm(mut self) {
        // Before its caller goes on, who may need it.
        self.leave();
        self.parcel.confirm();
    }

    pub(super) fn fail(mut self, error: PublishError) {
        self.leave();
        if self.is_abandoned() {
            tracing::warn!(%error, "an event whose caller no longer waits was not published");
        }
        self.parcel.fail(error);
    }

    fn leave(&mut self) {
        if std::mem::take(&mut self.has_place) {
            self.parcel.window.places.add_permits(1);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.leave();
        self.parcel.close();
    }
}

/// The sending side of the publish window, cheap to clone.
#[derive(Clone)]
pub(crate) struct Window(Arc<Inside>);

/// What all clones of a window share.
pub(crate) struct Inside {
    jobs: mpsc::UnboundedSender<Job>,
    pub(super) task: Arc<Task>,
    /// Bounds what is on its way: a job keeps its place until it is answered.
    pub(super) places: Arc<Semaphore>,
    pub(super) size: usize,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a caller waits for a confirm.
    pub(crate) timeout: Duration,
}

impl Deref for Window {
    type Target = Inside;

    fn deref(&self) -> &Inside {
        &self.0
    }
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
        let inside = Inside { jobs, task, places: Arc::new(Semaphore::new(size)), size, clock, timeout };
        (Self(Arc::new(inside)), jobs_of_task)
    }

    /// How the publishing channel is, while it is interrupted.
    pub(crate) fn interruption(&self) -> Option<Shown> {
        interruption(&self.task.standing.life)
    }

    /// How many messages have no answer yet.
    pub(crate) fn on_their_way(&self) -> usize {
        self.size.saturating_sub(self.places.available_permits())
    }

    /// Puts a message into the window, without a limit of time: for what must not be given up as long as its cause waits for it.
    /// What this gives ends once it is confirmed. Messages that are put in one after the other are sent in that order.
    pub(crate) fn send_patiently(&self, message: Message, mandatory: bool) -> impl Future<Output = Entered> + Send {
        let entered = Entered::new(Parcel::new(self.clone(), message, mandatory));
        let places = Arc::clone(&self.places);
        async move {
            // The semaphore is never closed.
            if let Ok(place) = places.acquire_owned().await {
                place.forget();
            }
            Self::enter(entered.parcel());
            entered
        }
    }

    /// Sends it to the task, now that it has a place, which the task gives back.
    pub(super) fn enter(parcel: &Arc<Parcel>) {
        let window = &parcel.window;
        // One that cannot be sent is dropped, and its caller told.
        let _ = window.jobs.send(Job::new(Arc::clone(parcel)));
        // A receiver that is dropped while we send may miss the job, which then has nobody to answer it.
        fence(Ordering::SeqCst);
        if window.task.gone.load(Ordering::Acquire) {
            parcel.close();
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
            assert!(matches!(answer.err().unwrap().error, PublishError::Closed { .. }));
            going.await.unwrap();
        }
    }
}
