//! The way of dead letters from queue to queue.

use std::{sync::Arc, time::SystemTime};

use super::{
    State,
    death::Reason,
    letter::Letter,
    queue::{Queue, Stuck},
};

impl State {
    /// Brings all dead letters to where they go. It ends: a letter never comes to a queue twice unless a consumer rejected
    /// it in between.
    pub(super) fn move_dead(&mut self, now: SystemTime) {
        loop {
            while let Some((reason, letter)) = self.flow.dead.pop_front() {
                let mut stored = false;
                for target in self.targets(reason, &letter) {
                    stored |= self.store(&target, &letter, now);
                }
                if !stored {
                    self.flow.lose(reason);
                }
            }
            let Some(source) = self.flow.movers.pop_first() else { return };
            self.move_from(&source, now);
        }
    }

    /// Tries again to move what no queue took, if it is time.
    pub(super) fn move_again(&mut self, source: &str, now: SystemTime) {
        let due = self.with_queue(source, |queue, _| queue.due_to_move(now)).unwrap_or_default();
        if due.is_empty() {
            return;
        }
        for (number, mut stuck) in due {
            let arrived = self.try_to_move(&mut stuck, now);
            self.with_queue(source, |queue, _| queue.moved(Some(number), stuck, arrived));
        }
        self.move_from(source, now);
    }

    /// Moves the dead letters of a queue, as many as can be under way.
    fn move_from(&mut self, source: &str, now: SystemTime) {
        while let Some(mut stuck) = self.with_queue(source, |queue, _| queue.next_to_move(now)).flatten() {
            let arrived = self.try_to_move(&mut stuck, now);
            self.with_queue(source, |queue, _| queue.moved(None, stuck, arrived));
        }
        self.with_queue(source, |queue, _| queue.rest_from_moving(now));
    }

    /// Sends a dead letter to the queues that it is routed to and that do not have it yet; true once all have it. One
    /// that is routed nowhere stays, but for one that some queue took before.
    fn try_to_move(&mut self, stuck: &mut Stuck, now: SystemTime) -> bool {
        let routed = self.routed(&stuck.letter);
        if routed.is_empty() {
            return !stuck.stored.is_empty();
        }
        let mut arrived = true;
        for target in routed.into_iter().filter(|target| may_go(stuck.reason, &stuck.letter, target)) {
            if !stuck.stored.contains(&target) {
                stuck.tried = Some(now);
                if self.store(&target, &stuck.letter, now) {
                    stuck.stored.insert(target);
                } else {
                    arrived = false;
                }
            }
        }
        arrived && !stuck.stored.is_empty()
    }

    /// The queues that a dead letter goes to.
    fn targets(&self, reason: Reason, letter: &Letter) -> Vec<Arc<str>> {
        let mut routed = self.routed(letter);
        routed.retain(|target| may_go(reason, letter, target));
        routed
    }

    /// The queues that a letter is routed to.
    pub(super) fn routed(&self, letter: &Letter) -> Vec<Arc<str>> {
        if !letter.exchange.is_empty() {
            return self.exchanges.route(letter);
        }
        // The default exchange knows queues by their names.
        let mut queues: Vec<_> =
            letter.routing_keys().filter_map(|key| self.queues.get(key.as_str())).map(name_of).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }

    /// Puts a letter into a queue; false if it refuses it.
    pub(super) fn store(&mut self, queue: &str, letter: &Arc<Letter>, now: SystemTime) -> bool {
        self.with_queue(queue, |queue, flow| queue.store(letter, now, flow)).unwrap_or_default()
    }
}

fn name_of(queue: &Queue) -> Arc<str> {
    Arc::clone(&queue.name)
}

/// Whether a dead letter may come to this queue: RabbitMQ drops what would go round for ever, yet never what was rejected
/// just now.
fn may_go(reason: Reason, letter: &Letter, target: &str) -> bool {
    reason == Reason::Rejected || !letter.circles_to(target)
}
