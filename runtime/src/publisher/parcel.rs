//! A message on its way, as both sides hold it: whoever waits for its answer, and the task that writes it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

use super::{PublishError, stage::Stage, window::Window};
use crate::envelope::Message;

const NONE: u8 = 0;
const CONFIRMED: u8 = 1;
const FAILED: u8 = 2;
const CLOSED: u8 = 3;

/// See the module. All of a message is in one place: a thousand are on their way at a time, too many for the nearest caches, and
/// each further place costs a look into memory.
pub(super) struct Parcel {
    pub(super) message: Message,
    /// Whether the broker says so when no queue is bound for it.
    pub(super) mandatory: bool,
    pub(super) window: Window,
    pub(super) stage: Stage,
    /// It leaves `NONE` once.
    answer: AtomicU8,
    /// Of an answer that is `FAILED`, until its caller takes it.
    error: Mutex<Option<Box<PublishError>>>,
    /// Whether nobody waits for the answer any more.
    given_up: AtomicBool,
    caller: AtomicWaker,
}

impl Parcel {
    pub(super) fn new(window: Window, message: Message, mandatory: bool) -> Self {
        Self {
            message,
            mandatory,
            window,
            stage: Stage::default(),
            answer: AtomicU8::new(NONE),
            error: Mutex::default(),
            given_up: AtomicBool::new(false),
            caller: AtomicWaker::new(),
        }
    }

    /// The broker has it.
    pub(super) fn confirm(&self) {
        self.settle(CONFIRMED);
    }

    /// It is not published, or nobody knows.
    pub(super) fn fail(&self, error: PublishError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(error));
        self.settle(FAILED);
    }

    /// Nobody will answer, unless somebody has.
    pub(super) fn close(&self) {
        self.settle(CLOSED);
    }

    fn settle(&self, answer: u8) {
        if self.answer.compare_exchange(NONE, answer, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            self.caller.wake();
        }
    }

    /// Its caller waits no longer.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::SeqCst)
    }

    /// What became of it, if that is known. The error is given out once.
    pub(super) fn answer(&self) -> Option<Result<(), PublishError>> {
        let closed = || PublishError::Closed { event: self.event() };
        match self.answer.load(Ordering::SeqCst) {
            NONE => None,
            CONFIRMED => Some(Ok(())),
            FAILED => {
                let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
                Some(Err(error.map_or_else(closed, |error| *error)))
            }
            _ => Some(Err(closed())),
        }
    }

    /// Waits for what becomes of it. One caller waits.
    pub(super) fn poll_answer(&self, context: &mut Context<'_>) -> Poll<Result<(), PublishError>> {
        if let Some(answer) = self.answer() {
            return Poll::Ready(answer);
        }
        self.caller.register(context.waker());
        // It may have come before the other side could see whom to wake.
        self.answer().map_or(Poll::Pending, Poll::Ready)
    }

    /// The name of the event that it holds, for errors.
    pub(super) fn event(&self) -> String {
        event_name(&self.message)
    }
}

/// The name of the event that a message holds, for errors.
pub(crate) fn event_name(message: &Message) -> String {
    message.properties.kind.as_ref().unwrap_or(&message.routing_key).to_string()
}
