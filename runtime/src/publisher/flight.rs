//! What is on its way on one publishing channel.

use std::{
    collections::HashSet,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};

use crate::transport::{Answer, Confirm, Returned};

/// What is on its way on one channel.
#[derive(Default)]
pub(super) struct InFlight {
    pub(super) confirms: FuturesUnordered<Owed>,
    /// Jobs that the broker would not store, each until its wait is over.
    pub(super) resting: FuturesUnordered<BoxFuture<'static, u64>>,
    /// With `Unrouted::Fail`: what is confirmed and not yet answered, and the ids and ways of what came back, until all confirms
    /// of the batch are in. lapin attaches a returned message to whichever confirm comes next. Until then the jobs stay
    /// unconfirmed: when the channel is lost before, nobody knows whether they came back, and they are sent again.
    pub(super) confirmed: Vec<u64>,
    pub(super) returned: HashSet<Returned>,
    /// Those of `confirms` that nobody waits for: they take far too long.
    pub(super) overdue: HashSet<u64>,
}

impl InFlight {
    /// Whether the broker owes no answer, but overdue ones.
    pub(super) fn is_complete(&self) -> bool {
        self.confirms.len() <= self.overdue.len()
    }

    pub(super) fn add(&mut self, number: u64, confirm: Confirm) {
        self.confirms.push(Owed { number, confirm });
    }
}

/// Waits for the broker's next answer, and takes with it what else has come, up to so many. An error is the last: it is told of
/// all that were on their way, and whether it was alone is seen by what is left of them.
pub(super) async fn answers(confirms: &mut FuturesUnordered<Owed>, into: &mut Vec<(u64, Answer)>, most: usize) {
    std::future::poll_fn(|context| {
        while into.len() < most
            && let Poll::Ready(Some((number, answer))) = confirms.poll_next_unpin(context)
        {
            let is_last = answer.is_err();
            into.push((number, answer));
            if is_last {
                break;
            }
        }
        if into.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

/// What the broker owes one message.
pub(super) struct Owed {
    number: u64,
    confirm: Confirm,
}

impl Future for Owed {
    type Output = (u64, Answer);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.confirm.poll_unpin(context));
        Poll::Ready((self.number, answer))
    }
}
