//! One queue: what it takes in, gives out, gets back and gives up. It knows no exchange and no other queue.

mod consumers;
mod mover;
mod ready;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(super) use mover::Stuck;
pub(super) use ready::Held;

use super::{
    ChannelId, ConnectionId, ConsumerId, Effect, QueueInfo,
    arguments::{Kind, Overflow, Settings},
    channel::Unacked,
    death::{Death, Reason},
    flow::Flow,
    letter::Letter,
};
use crate::{envelope::message::seconds, transport::Delivery};
use consumers::Consumers;
use mover::Mover;
use ready::{Position, Ready};

/// How many messages a consumer without a limit gets ahead from a quorum queue.
const QUORUM_UNLIMITED: u32 = 2000;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: Arc<str>,
    /// Tells it from an earlier queue of this name.
    pub(super) number: u64,
    pub(super) settings: Settings,
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    /// The only connection that may use it; it goes with it.
    pub(super) owner: Option<ConnectionId>,
    pub(super) consumers: Consumers,
    /// What its time index has of it; [`Queue::due`] is what it should have.
    pub(super) scheduled: Option<SystemTime>,
    ready: Ready,
    /// How many messages channels have of it.
    unacked: usize,
    /// How many of these nobody consumed, but asked for.
    got: usize,
    mover: Mover,
    /// A quorum queue that was found full: see [`Queue::store`].
    refusing: bool,
    /// When it was last of use, for `x-expires`.
    used: SystemTime,
}

/// How a message comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// Its consumer wants it to come again.
    Requeued,
    /// Its channel is gone.
    Lost,
}

/// What has changed that a queue is to look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Arrived,
    Returned,
    /// There is room at a consumer, or it is later.
    Other,
}

impl Queue {
    pub(super) fn new(name: Arc<str>, number: u64, settings: Settings, now: SystemTime) -> Self {
        Self {
            name,
            number,
            durable: true,
            auto_delete: false,
            owner: None,
            consumers: Consumers::new(settings.single_active),
            scheduled: None,
            ready: Ready::default(),
            unacked: 0,
            got: 0,
            mover: Mover::default(),
            refusing: false,
            used: now,
            settings,
        }
    }

    pub(super) fn info(&self) -> QueueInfo {
        let consumers = self.consumers.len();
        // Measured, on both lines of RabbitMQ: a classic queue forgets a consumer when it is cancelled.
        let users = if self.is_quorum() { consumers + self.consumers.leaving() + self.got } else { consumers };
        QueueInfo { ready: self.ready.len(), unacked: self.unacked, consumers, users }
    }

    /// How many dead letters it keeps until others have them.
    pub(super) fn moving(&self) -> usize {
        self.mover.len()
    }

    /// When its first message expires.
    pub(super) fn expires(&self) -> Option<SystemTime> {
        self.ready.expires()
    }

    pub(super) fn is_quorum(&self) -> bool {
        self.settings.kind == Kind::Quorum
    }

    /// Notes that somebody uses it.
    pub(super) fn touch(&mut self, now: SystemTime) {
        self.used = now;
    }

    /// When something happens to it if nobody does anything.
    pub(super) fn due(&self) -> Option<SystemTime> {
        [self.ready.expires(), self.mover.retry, self.ends()].into_iter().flatten().min()
    }

    /// When it goes because nobody uses it.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        let expires = self.settings.expires.filter(|_| self.consumers.is_empty())?;
        self.used.checked_add(expires)
    }

    /// Takes a message in, or refuses it.
    ///
    /// A classic queue refuses what would be too much. A quorum queue finds out afterwards: it takes one more than its
    /// limit, and then refuses until it is down to four fifths. RabbitMQ does so for each publishing channel, and one that
    /// is new is refused only beyond the limit; here all are one.
    pub(super) fn store(&mut self, letter: &Arc<Letter>, now: SystemTime, flow: &mut Flow) -> bool {
        if self.is_quorum() {
            if self.refusing {
                return false;
            }
        } else if self.settings.overflow != Overflow::DropHead && self.exceeds(1, letter.size()) {
            if self.settings.overflow == Overflow::RejectPublishDlx {
                let held = self.hold(letter, now);
                self.give_up(held, Reason::MaxLength, now, flow);
            }
            return false;
        }
        let held = self.hold(letter, now);
        self.ready.insert(held);
        self.look_after(Change::Arrived, now, flow);
        true
    }

    fn hold(&mut self, letter: &Arc<Letter>, now: SystemTime) -> Held {
        let ttl = [self.settings.message_ttl, letter.ttl].into_iter().flatten().min();
        let expires = ttl.and_then(|ttl| {
            // A quorum queue gives a message without any time one chance.
            let ttl = if self.is_quorum() { ttl.max(1) } else { ttl };
            now.checked_add(Duration::from_millis(ttl))
        });
        let position = Position::Arrived(self.ready.number());
        let failures = if self.is_quorum() { letter.failures } else { 0 };
        Held { letter: Arc::clone(letter), expires, position, returned: 0, failures }
    }

    /// Lets go of what is over its time, gives out what there is room for, and keeps to its limits.
    pub(super) fn look_after(&mut self, change: Change, now: SystemTime, flow: &mut Flow) {
        let classic = !self.is_quorum();
        if classic && change == Change::Returned {
            self.shorten(now, flow);
        }
        // A classic queue gives a message without any time to a consumer that waits for one.
        let mut expire = !classic || change != Change::Arrived;
        loop {
            if expire {
                self.expire(now, flow);
            }
            expire = true;
            if self.ready.is_empty() {
                break;
            }
            let Some((consumer, channel)) = self.consumers.next() else { break };
            let Some(held) = self.ready.pop() else { break };
            let delivery = self.hand_out(held, Some(consumer), channel, flow);
            flow.effects.push(Effect::Deliver { consumer, delivery });
        }
        self.shorten(now, flow);
        self.expire(now, flow);
        self.note_limits();
    }

    /// Gives one message to who asks for it.
    pub(super) fn get(&mut self, channel: ChannelId, now: SystemTime, flow: &mut Flow) -> Option<Delivery> {
        self.touch(now);
        self.expire(now, flow);
        let held = self.ready.pop()?;
        self.got += 1;
        let delivery = self.hand_out(held, None, channel, flow);
        self.look_after(Change::Other, now, flow);
        Some(delivery)
    }

    fn hand_out(&mut self, held: Held, consumer: Option<ConsumerId>, channel: ChannelId, flow: &mut Flow) -> Delivery {
        let count = match self.settings.kind {
            // Before it was returned for the first time, what it failed elsewhere (measured: after a rejection in another
            // quorum queue the first delivery has 1, the next one 1 again).
            Kind::Quorum if held.returned == 0 => held.failures,
            Kind::Quorum => held.returned,
            Kind::Classic => 0,
        };
        let redelivered = count > 0 || held.returned > 0;
        let message = held.letter.message(count);
        self.unacked += 1;
        let unacked = Unacked { queue: Arc::clone(&self.name), number: self.number, consumer, held };
        let tag = flow.channels.hand_out(channel, unacked);
        Delivery { message, tag, redelivered }
    }

    /// Adds a consumer; without a limit it gets whatever is there.
    pub(super) fn consume(&mut self, consumer: ConsumerId, channel: ChannelId, prefetch: u16) {
        let unlimited = if self.is_quorum() { QUORUM_UNLIMITED } else { u32::MAX };
        let capacity = if prefetch == 0 { unlimited } else { prefetch.into() };
        self.consumers.add(consumer, channel, capacity);
    }

    /// Removes a consumer; what it has stays with its channel.
    pub(super) fn cancel(&mut self, consumer: ConsumerId, now: SystemTime) {
        self.consumers.remove(consumer);
        self.touch(now);
    }

    /// Forgets a message that was acknowledged.
    pub(super) fn acknowledge(&mut self, consumer: Option<ConsumerId>) {
        self.let_go(consumer);
    }

    /// Gives up a message that was rejected.
    pub(super) fn reject(&mut self, consumer: Option<ConsumerId>, held: Held, now: SystemTime, flow: &mut Flow) {
        self.let_go(consumer);
        let failures = held.failures.saturating_add(1);
        self.give_up(Held { failures, ..held }, Reason::Rejected, now, flow);
    }

    /// Takes a message back: to its old place in a classic queue; in a quorum queue behind what else came back and before
    /// all others, or to the end if the queue has no limit and somebody wanted it there (measured).
    pub(super) fn take_back(
        &mut self,
        consumer: Option<ConsumerId>,
        mut held: Held,
        how: Return,
        now: SystemTime,
        flow: &mut Flow,
    ) {
        self.let_go(consumer);
        held.returned = held.returned.saturating_add(1);
        if self.is_quorum() {
            if how == Return::Lost {
                held.failures = held.failures.saturating_add(1);
            }
            if self.settings.delivery_limit.is_some_and(|limit| held.returned > limit) {
                self.give_up(held, Reason::DeliveryLimit, now, flow);
                return;
            }
            let number = self.ready.number();
            held.position = match (self.settings.delivery_limit, how) {
                (None, Return::Requeued) => Position::Arrived(number),
                _ => Position::Returned(number),
            };
        }
        self.ready.insert(held);
    }

    fn let_go(&mut self, consumer: Option<ConsumerId>) {
        self.unacked = self.unacked.saturating_sub(1);
        match consumer {
            Some(consumer) => self.consumers.give_back(consumer),
            None => self.got = self.got.saturating_sub(1),
        }
    }

    /// Drops all that nobody has and says how many there were.
    pub(super) fn purge(&mut self) -> usize {
        let dropped = self.ready.clear();
        self.note_limits();
        dropped
    }

    fn expire(&mut self, now: SystemTime, flow: &mut Flow) {
        while let Some(held) = self.ready.pop_expired(now) {
            self.give_up(held, Reason::Expired, now, flow);
        }
    }

    /// Drops from the head what is beyond the limits.
    fn shorten(&mut self, now: SystemTime, flow: &mut Flow) {
        while self.settings.overflow == Overflow::DropHead && self.exceeds(0, 0) {
            let Some(held) = self.ready.pop() else { return };
            self.give_up(held, Reason::MaxLength, now, flow);
        }
    }

    /// Hands a message to whatever the queue does with its dead.
    fn give_up(&mut self, held: Held, reason: Reason, now: SystemTime, flow: &mut Flow) {
        match &self.settings.dead_letters {
            None => flow.lose(reason),
            Some(dead_letters) if dead_letters.at_least_once => {
                self.mover.push(reason, held);
                flow.movers.insert(Arc::clone(&self.name));
            }
            Some(_) => {
                if let Some(letter) = self.dead(&held, reason, now) {
                    flow.dead.push_back((reason, Arc::new(letter)));
                }
            }
        }
    }

    fn dead(&self, held: &Held, reason: Reason, now: SystemTime) -> Option<Letter> {
        let dead_letters = self.settings.dead_letters.as_ref()?;
        let death = Death { queue: Arc::clone(&self.name), reason, time: seconds(now).unwrap_or_default() };
        let mut letter = held.letter.dead(&death, &dead_letters.exchange, dead_letters.routing_key.as_deref());
        if self.is_quorum() {
            letter.failures = held.failures;
        }
        Some(letter)
    }

    /// The next dead letter to be moved, as it goes out.
    pub(super) fn next_to_move(&mut self, now: SystemTime) -> Option<Stuck> {
        let (reason, held) = self.mover.take()?;
        let letter = Arc::new(self.dead(&held, reason, now)?);
        Some(Stuck { reason, letter, stored: BTreeSet::new(), tried: None })
    }

    /// Those that did not arrive and are to be tried again.
    pub(super) fn due_to_move(&mut self, now: SystemTime) -> Vec<(u64, Stuck)> {
        self.mover.due(now)
    }

    /// Notes what became of a dead letter; `number` is that of one that was tried before.
    pub(super) fn moved(&mut self, number: Option<u64>, stuck: Stuck, arrived: bool) {
        match number {
            _ if arrived => self.mover.arrived(&stuck.letter),
            Some(number) => self.mover.put_back(number, stuck),
            None => self.mover.keep(stuck),
        }
    }

    /// Notes that no more can be moved for now.
    pub(super) fn rest_from_moving(&mut self, now: SystemTime) {
        self.mover.set_timer(now);
        self.note_limits();
    }

    /// Whether it is beyond a limit, or would be with so many messages and bytes more.
    fn exceeds(&self, messages: u64, bytes: u64) -> bool {
        let (held, size) = self.counted();
        self.settings.max_length.is_some_and(|limit| held.saturating_add(messages) > limit)
            || self.settings.max_bytes.is_some_and(|limit| size.saturating_add(bytes) > limit)
    }

    fn note_limits(&mut self) {
        if !self.is_quorum() || self.settings.overflow == Overflow::DropHead {
            return;
        }
        if self.exceeds(0, 0) {
            self.refusing = true;
            return;
        }
        let four_fifths = |limit: u64| limit / 5 * 4 + limit % 5 * 4 / 5;
        let (held, size) = self.counted();
        if self.settings.max_length.is_none_or(|limit| held <= four_fifths(limit))
            && self.settings.max_bytes.is_none_or(|limit| size <= four_fifths(limit))
        {
            self.refusing = false;
        }
    }

    /// The messages and bytes that count for its limits: what channels have does not.
    fn counted(&self) -> (u64, u64) {
        let held = u64::try_from(self.ready.len() + self.mover.len()).unwrap_or(u64::MAX);
        (held, self.ready.bytes().saturating_add(self.mover.bytes()))
    }
}
