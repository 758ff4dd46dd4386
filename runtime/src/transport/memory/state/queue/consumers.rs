//! The consumers of a queue, and whose turn it is.

use std::collections::{BTreeMap, VecDeque};

use crate::transport::memory::state::{ChannelId, ConsumerId};

/// See the module.
#[derive(Debug)]
pub(in crate::transport::memory::state) struct Consumers {
    members: BTreeMap<ConsumerId, Member>,
    /// All, in the order in which they came: the first is the active one of a queue that has only one.
    order: VecDeque<ConsumerId>,
    /// Those with room, the next first. Some may be gone meanwhile.
    turns: VecDeque<ConsumerId>,
    /// Whether only one is served.
    single_active: bool,
    /// How many messages those have who are gone and did not settle all.
    leaving: BTreeMap<ConsumerId, u32>,
}

#[derive(Debug)]
struct Member {
    channel: ChannelId,
    /// How many messages it may have.
    capacity: u32,
    /// How many more it may have now.
    room: u32,
    /// Whether it stands among the turns.
    queued: bool,
}

impl Consumers {
    pub(super) fn new(single_active: bool) -> Self {
        let (members, leaving) = (BTreeMap::new(), BTreeMap::new());
        Self { members, order: VecDeque::new(), turns: VecDeque::new(), single_active, leaving }
    }

    pub(in crate::transport::memory::state) fn len(&self) -> usize {
        self.members.len()
    }

    /// How many are gone and still have messages.
    pub(super) fn leaving(&self) -> usize {
        self.leaving.len()
    }

    pub(in crate::transport::memory::state) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(in crate::transport::memory::state) fn ids(&self) -> impl Iterator<Item = ConsumerId> {
        self.order.iter().copied()
    }

    pub(super) fn add(&mut self, consumer: ConsumerId, channel: ChannelId, capacity: u32) {
        let queued = capacity > 0;
        if queued {
            self.turns.push_back(consumer);
        }
        self.order.push_back(consumer);
        self.members.insert(consumer, Member { channel, capacity, room: capacity, queued });
    }

    /// Removes one; what it has stays with its channel. It costs a walk over all consumers, which are few.
    pub(super) fn remove(&mut self, consumer: ConsumerId) {
        if let Some(member) = self.members.remove(&consumer)
            && member.room < member.capacity
        {
            self.leaving.insert(consumer, member.capacity - member.room);
        }
        self.order.retain(|other| *other != consumer);
        self.turns.retain(|other| *other != consumer);
    }

    /// The consumer that gets the next message, and its channel: in turn, so that a slow one holds up nobody.
    pub(super) fn next(&mut self) -> Option<(ConsumerId, ChannelId)> {
        if self.single_active {
            let active = *self.order.front()?;
            let member = self.members.get_mut(&active)?;
            member.room = member.room.checked_sub(1)?;
            return Some((active, member.channel));
        }
        while let Some(consumer) = self.turns.pop_front() {
            let Some(member) = self.members.get_mut(&consumer) else { continue };
            member.queued = false;
            let Some(room) = member.room.checked_sub(1) else { continue };
            member.room = room;
            if room > 0 {
                member.queued = true;
                self.turns.push_back(consumer);
            }
            return Some((consumer, member.channel));
        }
        None
    }

    /// Notes that a consumer has one message less.
    pub(super) fn give_back(&mut self, consumer: ConsumerId) {
        let Some(member) = self.members.get_mut(&consumer) else {
            if let Some(left) = self.leaving.get_mut(&consumer) {
                *left -= 1;
                if *left == 0 {
                    self.leaving.remove(&consumer);
                }
            }
            return;
        };
        member.room = member.room.saturating_add(1).min(member.capacity);
        if !member.queued {
            member.queued = true;
            self.turns.push_back(consumer);
        }
    }
}
