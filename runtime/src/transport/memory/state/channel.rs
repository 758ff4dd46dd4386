//! The channels: who has which message under which tag.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{ChannelId, ConnectionId, ConsumerId, queue::Held, refusal::Refusal};

/// All channels that ever got a message or a consumer.
#[derive(Debug, Default)]
pub(super) struct Channels(BTreeMap<ChannelId, Channel>);

#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) consumers: BTreeSet<ConsumerId>,
    /// What it has not acknowledged, by tag.
    pub(super) unacked: BTreeMap<u64, Unacked>,
    connection: ConnectionId,
    /// The last tag that it was given.
    last_tag: u64,
}

/// A message that a channel has.
#[derive(Debug)]
pub(super) struct Unacked {
    /// Where it comes from.
    pub(super) queue: Arc<str>,
    /// The number of that queue: one that was made later under the same name does not get it back.
    pub(super) number: u64,
    /// Who has it; `None` if it was asked for.
    pub(super) consumer: Option<ConsumerId>,
    pub(super) held: Held,
}

impl Channels {
    pub(super) fn open(&mut self, channel: ChannelId, connection: ConnectionId) -> &mut Channel {
        self.0.entry(channel).or_insert_with(|| Channel { connection, ..Channel::default() })
    }

    pub(super) fn remove(&mut self, channel: ChannelId) -> Option<Channel> {
        self.0.remove(&channel)
    }

    pub(super) fn of(&self, connection: ConnectionId) -> Vec<ChannelId> {
        self.0.iter().filter(|(_, channel)| channel.connection == connection).map(|(id, _)| *id).collect()
    }

    /// Forgets a consumer; what it has stays.
    pub(super) fn forget(&mut self, channel: ChannelId, consumer: ConsumerId) {
        if let Some(channel) = self.0.get_mut(&channel) {
            channel.consumers.remove(&consumer);
        }
    }

    /// Gives a message to a channel that is open, under the next tag.
    pub(super) fn hand_out(&mut self, channel: ChannelId, unacked: Unacked) -> u64 {
        let channel = self.0.entry(channel).or_default();
        channel.last_tag += 1;
        channel.unacked.insert(channel.last_tag, unacked);
        channel.last_tag
    }

    /// Takes the messages that a settlement means, in the order of their tags. `multiple` wants its tag to be there too,
    /// but for 0, which means all.
    pub(super) fn take(&mut self, channel: ChannelId, tag: u64, multiple: bool) -> Result<Vec<Unacked>, Refusal> {
        let unknown = || Refusal::unknown_delivery_tag(tag);
        let Some(channel) = self.0.get_mut(&channel) else {
            return if tag == 0 && multiple { Ok(Vec::new()) } else { Err(unknown()) };
        };
        if tag == 0 && multiple {
            return Ok(std::mem::take(&mut channel.unacked).into_values().collect());
        }
        let last = channel.unacked.remove(&tag).ok_or_else(unknown)?;
        if !multiple {
            return Ok(vec![last]);
        }
        let above = channel.unacked.split_off(&tag);
        let below = std::mem::replace(&mut channel.unacked, above);
        Ok(below.into_values().chain([last]).collect())
    }
}
