//! The delay ladder: 28 levels of 1, 2, 4, … 2^27 seconds; a message waits in those whose bits its delay has.
//!
//! Level k is a topic exchange and a queue whose messages expire after 2^k seconds into level k−1. The routing key is the
//! delay's 28 bits, the highest first, each a word, and then the destination. At level k's exchange the bit of 2^k is
//! word 27−k: a 1 leads into the level's queue, a 0 straight to the next exchange.

use std::time::Duration;

use super::{
    Argument, Arguments, Binding, Destination, Exchange, ExchangeKind, Queue, QueueType, UNLIMITED_DELIVERIES,
};
use crate::{event::name, retry::LONGEST_SECONDS};

/// How many bits a delay has.
pub(crate) const LEVELS: u32 = 28;

/// Where a delayed message goes when its time has come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due<'a> {
    /// To one work queue: a retry.
    Queue(&'a str),
    /// To an exchange, which routes it by the name in its `CC` header to whoever is bound then: a scheduled event.
    Exchange(&'a str),
}

/// The ladder under one prefix, with the levels that a plan needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ladder {
    /// `rabbitry.v1.delay`, or what the service names.
    pub(crate) prefix: String,
    /// How many levels there are, from the lowest.
    pub(crate) levels: u32,
}

impl Ladder {
    /// The ladder whose levels suffice for delays up to `longest`.
    pub(crate) fn up_to(prefix: String, longest: Option<Duration>) -> Self {
        let seconds = longest.map_or(0, whole_seconds).min(LONGEST_SECONDS);
        Self { prefix, levels: u64::BITS - seconds.leading_zeros() }
    }

    /// The longest delay that its levels can hold.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_secs((1u64 << self.levels.min(LEVELS)) - 1)
    }

    /// The exchange and the routing key that bring a message to `due` after `delay`, rounded up to whole seconds; `None`
    /// if the ladder has too few levels.
    pub(crate) fn entry(&self, delay: Duration, due: Due<'_>) -> Option<(String, String)> {
        let seconds = whole_seconds(delay);
        if seconds > self.longest().as_secs() {
            return None;
        }
        let exchange = match seconds.checked_ilog2() {
            Some(highest) => self.level(highest),
            None => self.out(),
        };
        Some((exchange, routing_key(seconds, due)))
    }

    /// The name of the exchange and of the queue of level k.
    pub(crate) fn level(&self, k: u32) -> String {
        format!("{}.{k:02}", self.prefix)
    }

    /// The name of the exchange behind the lowest level.
    pub(crate) fn out(&self) -> String {
        format!("{}.out", self.prefix)
    }

    /// The name of the queue that takes scheduled events beside whoever is bound for them, and keeps none.
    pub(crate) fn unwanted(&self) -> String {
        format!("{}.unwanted", self.prefix)
    }

    /// What a message for `due` is bound by at the exchange behind the lowest level. Exactly 28 `*`: with a `#` a queue
    /// `a.b` would also get what is meant for `x.a.b`.
    pub(crate) fn binding_key(due: Due<'_>) -> String {
        format!("{}{}", "*.".repeat(LEVELS as usize), destination(due))
    }

    pub(super) fn exchanges(&self, undeliverable: &str) -> Vec<Exchange> {
        let names = (0..self.levels).map(|k| self.level(k)).chain([self.out()]);
        names
            .map(|name| Exchange {
                name,
                kind: ExchangeKind::Topic,
                // A level without its queue, or a work queue that is gone, must not make a message vanish.
                arguments: Arguments::from([(
                    "alternate-exchange".to_owned(),
                    Argument::Text(undeliverable.to_owned()),
                )]),
                joined: false,
            })
            .collect()
    }

    pub(super) fn queues(&self) -> Vec<Queue> {
        (0..self.levels)
            .map(|k| {
                let next = k.checked_sub(1).map_or_else(|| self.out(), |next| self.level(next));
                let mut arguments = Queue::moving_on(&next, None, UNLIMITED_DELIVERIES);
                arguments.insert("x-message-ttl".to_owned(), Argument::Integer(1000 << k));
                Queue { name: self.level(k), kind: QueueType::Quorum, arguments }
            })
            .collect()
    }

    /// A scheduled event for which nothing is bound when it is due would stay in the lowest level for ever, and 32 of them
    /// would stop it for all others: the alternate exchange does not help, since the event's exchange is bound. So there is
    /// always this queue, which has no room.
    pub(super) fn unwanted_queue(&self) -> Queue {
        let arguments = Arguments::from([
            ("x-queue-type".to_owned(), Argument::from("quorum")),
            ("x-delivery-limit".to_owned(), Argument::Integer(UNLIMITED_DELIVERIES)),
            ("x-max-length".to_owned(), Argument::Integer(0)),
            ("x-overflow".to_owned(), Argument::from("drop-head")),
        ]);
        Queue { name: self.unwanted(), kind: QueueType::Quorum, arguments }
    }

    pub(super) fn bindings(&self) -> Vec<Binding> {
        (0..self.levels)
            .flat_map(|k| {
                let before = "*.".repeat((LEVELS - 1 - k) as usize);
                let next = k.checked_sub(1).map_or_else(|| self.out(), |next| self.level(next));
                [
                    Binding::new(&self.level(k), Destination::Queue(self.level(k)), format!("{before}1.#")),
                    Binding::new(&self.level(k), Destination::Exchange(next), format!("{before}0.#")),
                ]
            })
            .collect()
    }
}

/// The routing key of a delay: its 28 bits and the destination.
fn routing_key(seconds: u64, due: Due<'_>) -> String {
    let mut key = String::with_capacity(64);
    for k in (0..LEVELS).rev() {
        key.push_str(if seconds >> k & 1 == 1 { "1." } else { "0." });
    }
    key.push_str(&destination(due));
    key
}

fn destination(due: Due<'_>) -> String {
    match due {
        Due::Queue(name) => format!("queue.{name}"),
        Due::Exchange(name) => format!("exchange.{name}"),
    }
}

fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0))
}

/// Checks that a queue's or an exchange's name can be a destination of the ladder.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence that begins with the name.
pub(crate) fn check_destination(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("is empty".to_owned())
    } else if name.len() > name::MAX_BYTES {
        // 28 bits take 56 bytes, `exchange.` nine, and a routing key has at most 255.
        Err(format!("has {} bytes, more than {}", name.len(), name::MAX_BYTES))
    } else if name.split('.').any(|word| word == "*" || word == "#") {
        Err("has a word `*` or `#`, which a binding key would take for a wildcard".to_owned())
    } else if name.starts_with("amq.") {
        Err("begins with `amq.`, which RabbitMQ keeps for itself".to_owned())
    } else {
        Ok(())
    }
}
