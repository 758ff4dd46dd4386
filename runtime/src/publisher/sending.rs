//! A message on its way, as its caller sees it.

use std::{
    borrow::Cow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    Obstacle, PublishError,
    stage::Stage,
    window::{Answer, Job, NotSent, Task, Window},
};
use crate::envelope::Message;

/// A message in the window, before its answer. Dropped before that, it is given up: what is not written yet never will be.
pub(crate) struct Entered {
    answered: oneshot::Receiver<Answer>,
    stage: Stage,
    task: Arc<Task>,
    /// Whether the answer has come.
    is_over: bool,
}

impl Entered {
    pub(super) fn new(answered: oneshot::Receiver<Answer>, stage: Stage, task: Arc<Task>) -> Self {
        Self { answered, stage, task, is_over: false }
    }

    /// What becomes of it.
    pub(crate) async fn answer(mut self) -> Answer {
        std::future::poll_fn(|context| self.poll_answer(context)).await
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Answer> {
        let answer = ready!(self.answered.poll_unpin(context));
        self.is_over = true;
        // The task drops a job unanswered only when it is cut off.
        Poll::Ready(answer.unwrap_or_else(|_| {
            let error = PublishError::Closed { event: String::new() };
            Err(Box::new(NotSent { message: Message::default(), error }))
        }))
    }

    /// Nobody will answer it.
    pub(super) fn unheard(&mut self) {
        self.answered = oneshot::channel().1;
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

/// A message on its way: first into the window, then to its confirm. Both together take the publish timeout at most, from the
/// first poll on. Messages of which one enters after the other are sent in that order.
///
/// Callers keep many of these, so it is written by hand: a few words, where an `async fn` would keep each step's own copy.
pub(crate) struct Sending {
    window: Window,
    /// Until it has entered.
    job: Option<Box<Job>>,
    /// Its place, where it has to wait for one.
    place: Option<BoxFuture<'static, Option<OwnedSemaphorePermit>>>,
    entered: Entered,
    /// The event's name.
    event: Cow<'static, str>,
    /// The end of its time, once that runs.
    time: Option<BoxFuture<'static, ()>>,
}

impl Sending {
    /// Begins to send a message.
    pub(super) fn new(window: &Window, message: Message, mandatory: bool, event: Cow<'static, str>) -> Self {
        let (job, entered) = window.job(message, mandatory);
        Self { window: window.clone(), job: Some(job), place: None, entered, event, time: None }
    }

    /// Waits until it is in the window.
    pub(super) async fn enter(&mut self) -> Result<(), PublishError> {
        std::future::poll_fn(|context| self.poll_enter(context)).await
    }

    fn poll_enter(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        let Some(job) = self.job.take() else { return Poll::Ready(Ok(())) };
        match self.poll_place(context) {
            Poll::Ready(place) => {
                self.place = None;
                self.window.enter(job, place, &mut self.entered);
                Poll::Ready(Ok(()))
            }
            Poll::Pending if self.poll_time(context).is_ready() => {
                let full = Obstacle::WindowFull { size: self.window.size };
                let obstacle = self.window.task.standing.obstacle().unwrap_or(full);
                let (event, after) = (self.event.clone().into_owned(), self.window.timeout);
                Poll::Ready(Err(PublishError::NeverSent { event, after, obstacle }))
            }
            Poll::Pending => {
                self.job = Some(job);
                Poll::Pending
            }
        }
    }

    fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        let waiting = match &mut self.place {
            Some(waiting) => waiting,
            None => {
                let places = Arc::clone(&self.window.places);
                match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => return Poll::Ready(Some(place)),
                    // The semaphore is never closed.
                    Err(_) => self.place.insert(Box::pin(async move { places.acquire_owned().await.ok() })),
                }
            }
        };
        waiting.poll_unpin(context)
    }

    fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let window = &self.window;
        self.time.get_or_insert_with(|| window.clock.sleep(window.timeout)).poll_unpin(context)
    }

    fn poll_confirm(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        let answer = match self.entered.poll_answer(context) {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                ready!(self.poll_time(context));
                let obstacle = self.window.task.standing.obstacle().unwrap_or(Obstacle::Slow);
                let (event, after) = (self.event.clone().into_owned(), self.window.timeout);
                if self.entered.stage.withdraw() {
                    return Poll::Ready(Err(PublishError::NeverSent { event, after, obstacle }));
                }
                // The answer may have come at the last moment; from now on none can.
                self.entered.answered.close();
                match self.entered.answered.try_recv() {
                    Ok(answer) => answer,
                    Err(_) => return Poll::Ready(Err(PublishError::TimedOut { event, after, obstacle })),
                }
            }
        };
        let event = || self.event.clone().into_owned();
        Poll::Ready(match answer.map_err(|not_sent| not_sent.error) {
            Err(PublishError::Closed { .. }) if self.entered.stage.is_written() => {
                Err(PublishError::CutOff { event: event() })
            }
            Err(PublishError::Closed { .. }) => Err(PublishError::Closed { event: event() }),
            answer => answer.map(drop),
        })
    }
}

/// Ends once it is confirmed.
impl Future for Sending {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.poll_enter(context))?;
        self.poll_confirm(context)
    }
}
