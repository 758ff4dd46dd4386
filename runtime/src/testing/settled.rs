//! When all is done: nothing is in flight, nobody runs, and nothing waits for its time.

use std::{
    panic::Location,
    sync::atomic::Ordering,
    time::{Duration, Instant, SystemTime},
};

use super::{Test, place::Ground};
use crate::transport::TransportError;

/// How long nothing may happen although something is still to be done.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much may happen before it looks as if it would never end.
const ENOUGH: u64 = 200_000;
/// How often is looked again at what nobody tells of.
const LOOK: Duration = Duration::from_millis(20);
/// For how long nothing may be to be done on RabbitMQ before that is believed: what its queues move on by themselves is in
/// none of them for a moment.
const STILL: Duration = Duration::from_millis(400);

/// What is still to be done.
enum Left {
    Nothing,
    /// This, and it will tell.
    Something(String),
    /// Nothing before this time.
    Until(SystemTime),
}

impl Test {
    /// Waits until nothing is in flight: every event that was published is handled or dead, with all its retries and with
    /// what follows from it. On the memory broker the clock is moved through every delay as soon as nothing else is to be
    /// done; a handler's own waiting takes its time.
    ///
    /// # Panics
    /// It never settles: nothing happens for 30 s although something is still to be done, or far too much happens. The text
    /// says what.
    #[track_caller]
    pub fn settled(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            if let Err(reason) = self.settle().await {
                panic!("{caller}: it does not settle: {reason}");
            }
            match self.look_at_the_dead().await {
                Ok(letters) => self.dead = letters,
                Err(error) => panic!("{caller}: the dead letters cannot be read: {error}"),
            }
        }
    }

    /// Waits for something of the test's own (a handler's record, a message at another client), and has the time that this
    /// takes pass as [`settled`](Self::settled) does: on the memory broker the clock is moved to what is due next as soon as
    /// nothing else is to be done, and no further than it must.
    ///
    /// # Panics
    /// On the memory broker, as `settled` does, also when nothing is left that could happen.
    #[track_caller]
    pub fn until<T>(&self, wanted: impl Future<Output = T>) -> impl Future<Output = T> {
        let caller = Location::caller();
        async move {
            if matches!(self.ground, Ground::Broker(_)) {
                return wanted.await;
            }
            tokio::select! {
                // First, so that the clock stands still once it is there; and to its end, where it could go on.
                biased;
                wanted = tokio::task::unconstrained(wanted) => wanted,
                reason = self.drive() => panic!("{caller}: it does not come: {reason}"),
            }
        }
    }

    /// Lets time pass for ever, until it looks as if nothing more would happen.
    async fn drive(&self) -> String {
        let (mut seen, mut moved) = (*self.log.changes().borrow(), Instant::now());
        loop {
            if let Err(reason) = self.settle().await {
                return reason;
            }
            let now = *self.log.changes().borrow();
            if now != seen {
                (seen, moved) = (now, Instant::now());
            }
            if moved.elapsed() > PATIENCE {
                return format!("nothing has been left to be done for {PATIENCE:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn settle(&self) -> Result<(), String> {
        let mut changes = self.log.changes();
        let begun = *changes.borrow_and_update();
        let (mut last, mut moved) = (begun, Instant::now());
        let mut still: Option<Instant> = None;
        loop {
            let now = *changes.borrow_and_update();
            if now != last {
                (last, moved, still) = (now, Instant::now(), None);
            }
            if now.saturating_sub(begun) > ENOUGH {
                return Err(format!("more than {ENOUGH} things have happened, and there is no end to it"));
            }
            match self.left().await.map_err(|error| error.to_string())? {
                Left::Nothing => {
                    let since = *still.get_or_insert_with(Instant::now);
                    if matches!(self.ground, Ground::Memory { .. }) || since.elapsed() >= STILL {
                        return Ok(());
                    }
                }
                Left::Something(what) => {
                    still = None;
                    if moved.elapsed() > PATIENCE {
                        return Err(format!("nothing happened for {PATIENCE:?}, but {what}"));
                    }
                }
                Left::Until(time) => {
                    still = None;
                    // Whoever waits beside us sees what has happened before more does.
                    tokio::task::yield_now().await;
                    let left = self.left().await.map_err(|error| error.to_string())?;
                    if matches!(left, Left::Until(again) if again == time) {
                        self.pass(time);
                    }
                    continue;
                }
            }
            // What is told wakes us at once, the rest is looked at.
            let _ = tokio::time::timeout(LOOK, changes.changed()).await;
        }
    }

    /// Moves the clock to a time, and has the broker do what is due then.
    fn pass(&self, time: SystemTime) {
        if let Ground::Memory { memory, clock } = &self.ground {
            clock.advance_to(time);
            memory.advance();
            self.log.changed();
        }
    }

    /// What is still to be done.
    async fn left(&self) -> Result<Left, TransportError> {
        for running in self.ours.services.iter().chain([&self.tester]) {
            let health = running.health();
            if !health.is_ready() {
                return Ok(Left::Something(format!("a service is not ready: {health:?}")));
            }
        }
        let unconfirmed = self.log.unconfirmed.load(Ordering::Relaxed);
        if unconfirmed > 0 {
            return Ok(Left::Something(format!("{unconfirmed} messages have no confirm")));
        }
        let (running, asleep) = self.log.running();
        if running > 0 {
            return Ok(Left::Something(format!("{running} deliveries are with handlers that have not ended")));
        }
        match &self.ground {
            Ground::Memory { memory, .. } => {
                if let Some(what) = memory.in_flight(self.log.in_hand.load(Ordering::Relaxed), &self.ours.consumed()) {
                    return Ok(Left::Something(what));
                }
                let due = [memory.next_expiry(), asleep].into_iter().flatten().min();
                Ok(due.map_or(Left::Nothing, Left::Until))
            }
            Ground::Broker(_) if asleep.is_some() => {
                Ok(Left::Something("a broadcast handler waits for its next attempt".to_owned()))
            }
            Ground::Broker(_) => self.left_on_the_broker().await,
        }
    }

    /// What the queues of the services hold that will be handled.
    async fn left_on_the_broker(&self) -> Result<Left, TransportError> {
        let (work, consumed) = (self.ours.work(), self.ours.consumed());
        for queue in &consumed {
            let later = self.log.later(queue);
            if later > 0 {
                return Ok(Left::Something(format!("{later} retries for {queue} are in the delay ladder")));
            }
        }
        let clock = self.ground.clock();
        let connection = self.ground.transport().connect("test looking", &clock).await?;
        let mut left = Left::Nothing;
        // What waits for a service that was stopped waits for nothing that will happen.
        let idle = |queue: &str| work.contains(queue) && !consumed.contains(queue);
        for queue in self.ours.queues.iter().filter(|queue| moves_on(queue) && !idle(queue)) {
            let count = connection.count(queue).await?;
            if count > 0 {
                left = Left::Something(format!("{count} messages wait in {queue}"));
                break;
            }
        }
        connection.close().await;
        Ok(left)
    }
}

/// Whether what is in a queue of a plan goes on by itself, or is handled.
fn moves_on(queue: &str) -> bool {
    ![".dead", ".undeliverable", ".unwanted"].iter().any(|end| queue.ends_with(end))
}
