//! A message on its way, as its caller sees it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Obstacle, PublishError,
    parcel::Parcel,
    window::{NotSent, Window},
};
use crate::envelope::Message;

/// A message in the window, before its answer. Dropped before that, it is given up: what is not written yet never will be.
pub(crate) struct Entered {
    parcel: Arc<Parcel>,
    /// Whether the answer has come.
    is_over: bool,
}

impl Entered {
    pub(super) fn new(parcel: Parcel) -> Self {
        Self { parcel: Arc::new(parcel), is_over: false }
    }

    pub(super) fn parcel(&self) -> &Arc<Parcel> {
        &self.parcel
    }

    /// What becomes of it.
    pub(crate) async fn answer(mut self) -> Result<(), Box<NotSent>> {
        let answer = std::future::poll_fn(|context| self.poll_answer(context)).await;
        answer.map_err(|error| Box::new(NotSent { message: self.parcel.message.clone(), error }))
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        let answer = ready!(self.parcel.poll_answer(context));
        self.is_over = true;
        Poll::Ready(answer)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.is_over {
            // Before the task is told, which then finds it abandoned.
            self.parcel.give_up();
            self.parcel.window.task.given_up.notify_one();
        }
    }
}

/// A message on its way: first into the window, then to its confirm. Both together take the publish timeout at most, from the
/// first poll on. Messages of which one enters after the other are sent in that order.
///
/// Callers keep many of these, so it is written by hand: a few words, where an `async fn` would keep each step's own copy.
pub(crate) struct Sending {
    entered: Entered,
    has_entered: bool,
    /// Its place, where it has to wait for one.
    place: Option<BoxFuture<'static, Option<OwnedSemaphorePermit>>>,
    /// The end of its time, once that runs.
    time: Option<BoxFuture<'static, ()>>,
}

impl Sending {
    /// Begins to send a message.
    pub(super) fn new(window: &Window, message: Message, mandatory: bool) -> Self {
        let entered = Entered::new(Parcel::new(window.clone(), message, mandatory));
        Self { entered, has_entered: false, place: None, time: None }
    }

    /// Waits until it is in the window.
    pub(super) async fn enter(&mut self) -> Result<(), PublishError> {
        std::future::poll_fn(|context| self.poll_enter(context)).await
    }

    fn poll_enter(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        if self.has_entered {
            return Poll::Ready(Ok(()));
        }
        if self.poll_place(context).is_pending() {
            ready!(self.poll_time(context));
            let window = &self.entered.parcel.window;
            let full = Obstacle::WindowFull { size: window.size };
            let obstacle = window.task.standing.obstacle().unwrap_or(full);
            let (event, after) = (self.entered.parcel.event(), window.timeout);
            return Poll::Ready(Err(PublishError::NeverSent { event, after, obstacle }));
        }
        self.place = None;
        self.has_entered = true;
        Window::enter(&self.entered.parcel);
        Poll::Ready(Ok(()))
    }

    /// Takes a place in the window, which from then on is the message's.
    fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let waiting = match &mut self.place {
            Some(waiting) => waiting,
            None => {
                let places = &self.entered.parcel.window.places;
                if let Ok(place) = places.try_acquire() {
                    place.forget();
                    return Poll::Ready(());
                }
                let places = Arc::clone(places);
                // The semaphore is never closed.
                self.place.insert(Box::pin(async move { places.acquire_owned().await.ok() }))
            }
        };
        waiting.poll_unpin(context).map(|place| {
            if let Some(place) = place {
                place.forget();
            }
        })
    }

    fn poll_time(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let window = &self.entered.parcel.window;
        self.time.get_or_insert_with(|| window.clock.sleep(window.timeout)).poll_unpin(context)
    }

    fn poll_confirm(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        let answer = match self.entered.poll_answer(context) {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                ready!(self.poll_time(context));
                let parcel = &self.entered.parcel;
                let obstacle = parcel.window.task.standing.obstacle().unwrap_or(Obstacle::Slow);
                let (event, after) = (parcel.event(), parcel.window.timeout);
                if parcel.stage.withdraw() {
                    return Poll::Ready(Err(PublishError::NeverSent { event, after, obstacle }));
                }
                // The answer may have come at the last moment; what comes from now on, the task knows to be unheard.
                parcel.give_up();
                match parcel.answer() {
                    Some(answer) => answer,
                    None => return Poll::Ready(Err(PublishError::TimedOut { event, after, obstacle })),
                }
            }
        };
        let parcel = &self.entered.parcel;
        Poll::Ready(match answer {
            Err(PublishError::Closed { .. }) if parcel.stage.is_written() => {
                Err(PublishError::CutOff { event: parcel.event() })
            }
            answer => answer,
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
