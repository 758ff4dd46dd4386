//! What the broker owes on one publishing channel: an answer for each message.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use smol_str::SmolStr;

use crate::{
    envelope::Message,
    time::Clock,
    transport::{Answer, Confirm},
};

/// How many lines there are: each look at what has come is a look at the first of each.
const LINES: usize = 8;
/// How long the first in a line may hold up the others, at least.
const STALL: Duration = Duration::from_millis(100);

/// The answers that have not come yet.
///
/// Messages of one route go to the same queues, and their answers come in their order. So they stand in line, and only the first is
/// waited for: once it is answered, so are many behind it, and none of those has cost a waker and a wake-up. A route that is
/// slow holds up no other. Where bindings look at more than the route, one of its queues may be slower than the others: in a
/// line in which nothing goes on, each is waited for by itself.
pub(super) struct Confirms {
    clock: Arc<dyn Clock>,
    lines: Vec<Line>,
    /// The line that is looked at first: the one that went on last.
    current: usize,
    /// Those of routes for which no line is free, and of lines in which nothing went on.
    aside: FuturesUnordered<Owed>,
    /// When it is seen in which lines nothing goes on.
    look: Option<BoxFuture<'static, ()>>,
}

/// Those of one route.
struct Line {
    exchange: SmolStr,
    routing_key: SmolStr,
    owed: VecDeque<Owed>,
    /// Which was the first at the last look.
    seen: Option<u64>,
}

impl Line {
    fn is_of(&self, message: &Message) -> bool {
        self.routing_key == message.routing_key && self.exchange == message.exchange
    }

    fn has_stalled(&mut self) -> bool {
        let first = self.owed.front().map(|owed| owed.number);
        std::mem::replace(&mut self.seen, first) == first && first.is_some()
    }
}

impl Confirms {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Vec::new(), current: 0, aside: FuturesUnordered::new(), look: None }
    }

    pub(super) fn len(&self) -> usize {
        self.aside.len() + self.lines.iter().map(|line| line.owed.len()).sum::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.aside.is_empty() && self.nobody_is_in_line()
    }

    fn nobody_is_in_line(&self) -> bool {
        self.lines.iter().all(|line| line.owed.is_empty())
    }

    /// Adds what the broker owes this message.
    pub(super) fn add(&mut self, number: u64, message: &Message, confirm: Confirm) {
        let owed = Owed { number, confirm };
        if let Some(line) = self.lines.iter_mut().find(|line| line.is_of(message)) {
            line.owed.push_back(owed);
            return;
        }
        let (exchange, routing_key) = (message.exchange.clone(), message.routing_key.clone());
        if let Some(line) = self.lines.iter_mut().find(|line| line.owed.is_empty()) {
            (line.exchange, line.routing_key) = (exchange, routing_key);
            line.owed.push_back(owed);
        } else if self.lines.len() < LINES {
            self.lines.push(Line { exchange, routing_key, owed: VecDeque::from([owed]), seen: None });
        } else {
            self.aside.push(owed);
        }
    }

    /// The next answer, and whose it is; `None` if none is owed.
    pub(super) async fn next(&mut self) -> Option<(u64, Answer)> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Waits for the next answer, and takes with it what else has come, up to so many. An error is the last: it is told of all that
    /// were on their way, and whether it was alone is seen by what is left of them.
    pub(super) async fn next_ones(&mut self, into: &mut Vec<(u64, Answer)>, most: usize) {
        std::future::poll_fn(|context| {
            while into.len() < most
                && let Poll::Ready(Some((number, answer))) = self.poll_next(context)
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

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(u64, Answer)>> {
        loop {
            if let Poll::Ready(Some(answered)) = self.aside.poll_next_unpin(context) {
                return Poll::Ready(Some(answered));
            }
            if let Poll::Ready(answered) = self.poll_lines(context) {
                return Poll::Ready(Some(answered));
            }
            if self.nobody_is_in_line() {
                return if self.aside.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            }
            ready!(self.poll_look(context));
            for line in &mut self.lines {
                if line.has_stalled() {
                    self.aside.extend(line.owed.drain(..));
                }
            }
        }
    }

    fn poll_lines(&mut self, context: &mut Context<'_>) -> Poll<(u64, Answer)> {
        let (before, after) = (0..self.current, self.current..self.lines.len());
        for number in after.chain(before) {
            if let Some(line) = self.lines.get_mut(number)
                && let Some(first) = line.owed.front_mut()
                && let Poll::Ready(answered) = first.poll_unpin(context)
            {
                line.owed.pop_front();
                self.current = number;
                return Poll::Ready(answered);
            }
        }
        Poll::Pending
    }

    /// Waits for the next look at the lines.
    fn poll_look(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.look.get_or_insert_with(|| self.clock.sleep(STALL)).poll_unpin(context));
        self.look = None;
        Poll::Ready(())
    }
}

/// What the broker owes one message.
struct Owed {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        publisher::tests::Stopped,
        time::SystemClock,
        transport::{Confirmed, TransportError},
    };

    /// So many that are owed on so many routes in turn, and what answers each.
    fn owed(count: usize, routes: usize) -> (Confirms, Vec<oneshot::Sender<Answer>>) {
        let mut confirms = Confirms::new(Arc::new(Stopped));
        let answering = (0..count).map(|number| {
            let (answer, answered) = oneshot::channel::<Answer>();
            let message = Message { routing_key: format!("route-{}", number % routes).into(), ..Message::default() };
            confirms.add(number as u64, &message, Confirm::later(async { answered.await.unwrap() }));
            answer
        });
        let answering = answering.collect();
        (confirms, answering)
    }

    fn say(answer: oneshot::Sender<Answer>) {
        answer.send(Ok((Confirmed::Ack, None))).unwrap();
    }

    async fn all(mut confirms: Confirms) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some((number, _)) = confirms.next().await {
            numbers.push(number);
        }
        numbers
    }

    #[tokio::test]
    async fn a_slow_route_holds_up_no_other() {
        for routes in [2, LINES, 3 * LINES] {
            let (mut confirms, answering) = owed(100 * routes, routes);
            let mut slow = Vec::new();
            for (number, answer) in answering.into_iter().enumerate() {
                if number % routes == 0 {
                    slow.push(answer);
                } else {
                    say(answer);
                }
            }
            // The clock stands still, so nothing was waited for.
            for _ in 0..100 * (routes - 1) {
                let (number, _) = confirms.next().await.unwrap();
                assert_ne!(number % routes as u64, 0);
            }
            slow.into_iter().for_each(say);
            assert_eq!(all(confirms).await.len(), 100);
        }
    }

    #[tokio::test]
    async fn the_first_in_line_does_not_hold_up_the_others_for_long() {
        let (mut confirms, mut answering) = owed(300, 1);
        let slow: Vec<_> = answering.drain(..100).collect();
        answering.into_iter().for_each(say);
        confirms.clock = Arc::new(SystemClock);
        let mut quick = BTreeSet::new();
        while quick.len() < 200 {
            let mut taken = Vec::new();
            confirms.next_ones(&mut taken, 60).await;
            assert!((1..=60).contains(&taken.len()));
            quick.extend(taken.into_iter().map(|(number, _)| number));
        }
        assert_eq!(quick, (100..300).collect());
        slow.into_iter().for_each(say);
        assert_eq!(all(confirms).await.into_iter().collect::<BTreeSet<_>>(), (0..100).collect());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        for routes in [1, 3, 3 * LINES] {
            let (confirms, mut answering) = owed(200, routes);
            let taking = tokio::spawn(all(confirms));
            for place in (0..answering.len()).rev() {
                say(answering.swap_remove(place / 2));
                tokio::task::yield_now().await;
            }
            let taken = taking.await.unwrap();
            assert_eq!(taken.len(), 200);
            assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), (0..200).collect());
        }
    }

    #[tokio::test]
    async fn after_an_error_nothing_more_is_taken() {
        let (mut confirms, answering) = owed(200, 3);
        for (number, answer) in answering.into_iter().enumerate() {
            if number == 100 {
                answer.send(Err(TransportError::lost("a test"))).unwrap();
            } else {
                say(answer);
            }
        }
        let mut taken = Vec::new();
        confirms.next_ones(&mut taken, 1000).await;
        assert!(taken.pop().unwrap().1.is_err());
        assert_eq!(taken.len() + confirms.len(), 199);
        assert!(taken.iter().all(|(_, answer)| answer.is_ok()));
    }
}
