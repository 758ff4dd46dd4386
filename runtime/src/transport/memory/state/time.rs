//! What happens because it is later.

use std::{sync::Arc, time::SystemTime};

use super::{
    State,
    queue::{Change, Queue},
};

impl State {
    /// When something happens if nobody does anything.
    pub(crate) fn next_due(&self) -> Option<SystemTime> {
        self.due.first().map(|(due, _)| *due)
    }

    /// When the first of the messages expires that wait for nothing else.
    pub(crate) fn next_expiry(&self) -> Option<SystemTime> {
        self.queues.values().filter_map(Queue::expires).min()
    }

    /// Does what is due until now, each at its own time: a long step is as good as many short ones. Only those dead
    /// letters that no queue takes are tried again once, not once for each time they would have been.
    pub(crate) fn advance(&mut self, now: SystemTime) {
        while let Some((due, name)) = self.due.first().filter(|(due, _)| *due <= now) {
            let (due, name) = (*due, Arc::clone(name));
            self.tick(&name, due, now);
            self.move_dead(due);
        }
    }

    fn tick(&mut self, name: &str, due: SystemTime, now: SystemTime) {
        let ends = self.queues.get(name).is_none_or(|queue| queue.ends().is_some_and(|ends| ends <= due));
        if ends {
            self.remove_queue(name);
            return;
        }
        self.with_queue(name, |queue, flow| queue.look_after(Change::Other, due, flow));
        self.move_again(name, now);
    }
}
