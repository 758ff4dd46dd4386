//! What the arguments of a queue mean, which are refused, and when two declarations are the same.

use std::{fmt::Display, sync::Arc, time::Duration};

use super::{
    letter::LONGEST_TTL,
    refusal::{self, Refusal},
};
use crate::topology::{Argument, Arguments};

/// How often a quorum queue without a limit returns a message, as of RabbitMQ 4.0.
const DEFAULT_DELIVERY_LIMIT: u32 = 20;

const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
const DEAD_LETTER_ROUTING_KEY: &str = "x-dead-letter-routing-key";
const DEAD_LETTER_STRATEGY: &str = "x-dead-letter-strategy";
const DELIVERY_LIMIT: &str = "x-delivery-limit";
const EXPIRES: &str = "x-expires";
const MAX_LENGTH: &str = "x-max-length";
const MAX_LENGTH_BYTES: &str = "x-max-length-bytes";
const MAX_PRIORITY: &str = "x-max-priority";
const MESSAGE_TTL: &str = "x-message-ttl";
const OVERFLOW: &str = "x-overflow";
const QUEUE_MODE: &str = "x-queue-mode";
const QUEUE_TYPE: &str = "x-queue-type";
const QUEUE_VERSION: &str = "x-queue-version";
const SINGLE_ACTIVE: &str = "x-single-active-consumer";

/// What each type of queue knows and compares, in RabbitMQ's order: the first difference is the one that it reports. All
/// others are accepted and mean nothing, but for those in [`FOREIGN`].
const QUORUM: [&str; 14] = [
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_ROUTING_KEY,
    DEAD_LETTER_STRATEGY,
    EXPIRES,
    MAX_LENGTH,
    MAX_LENGTH_BYTES,
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    OVERFLOW,
    SINGLE_ACTIVE,
    QUEUE_TYPE,
    "x-quorum-initial-group-size",
    DELIVERY_LIMIT,
    MESSAGE_TTL,
];
const CLASSIC: [&str; 13] = [
    EXPIRES,
    MESSAGE_TTL,
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_ROUTING_KEY,
    MAX_LENGTH,
    MAX_LENGTH_BYTES,
    MAX_PRIORITY,
    OVERFLOW,
    QUEUE_MODE,
    QUEUE_VERSION,
    SINGLE_ACTIVE,
    QUEUE_TYPE,
    "x-queue-master-locator",
];
/// What streams alone know: refused on all other queues, as what only one of the two types above knows is on the other.
const FOREIGN: [&str; 4] =
    ["x-max-age", "x-stream-max-segment-size-bytes", "x-stream-filter-size-bytes", "x-initial-cluster-size"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Quorum,
    Classic,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Overflow {
    /// It gives up its oldest message.
    #[default]
    DropHead,
    /// It refuses the new one.
    RejectPublish,
    /// It refuses the new one and dead-letters it; classic queues only.
    RejectPublishDlx,
}

/// What a queue does with its dead.
#[derive(Clone, Debug)]
pub(super) struct DeadLetters {
    pub(super) exchange: Arc<str>,
    /// What they are routed by instead of their own routing keys.
    pub(super) routing_key: Option<String>,
    /// Whether they stay with the queue until another has them.
    pub(super) at_least_once: bool,
}

/// What a queue was told by its arguments.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) kind: Kind,
    /// As they were given, `x-queue-type` always among them.
    arguments: Arguments,
    /// In milliseconds.
    pub(super) message_ttl: Option<u64>,
    /// How long it lives unused.
    pub(super) expires: Option<Duration>,
    pub(super) max_length: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) overflow: Overflow,
    pub(super) dead_letters: Option<DeadLetters>,
    /// How often a message is returned before it is given up; `None` on classic queues, and on quorum queues that were
    /// told a negative one.
    pub(super) delivery_limit: Option<u32>,
    pub(super) single_active: bool,
}

/// The arguments with the type that a queue has without one.
pub(super) fn with_type(arguments: &Arguments) -> Arguments {
    let mut arguments = arguments.clone();
    arguments.entry(QUEUE_TYPE.to_owned()).or_insert_with(|| Argument::from("classic"));
    arguments
}

/// Whether these arguments, [`with_type`], make a quorum queue: the server names none.
pub(super) fn are_of_quorum_queue(arguments: &Arguments) -> bool {
    text(arguments, QUEUE_TYPE) == Some("quorum")
}

impl Settings {
    /// Checks the arguments of a new queue, in RabbitMQ's order.
    pub(super) fn new(name: &str, arguments: Arguments) -> Result<Self, Refusal> {
        let described = refusal::queue(name);
        let invalid = |argument: &str, why: &str| {
            Refusal::precondition_failed(&format!("invalid arg '{argument}' for {described}: {why}"))
        };
        if let Some(other @ (Argument::Integer(_) | Argument::Bool(_))) = arguments.get(DEAD_LETTER_EXCHANGE) {
            let kind = type_name(other);
            let text = format!("invalid type '{kind}' for arg '{DEAD_LETTER_EXCHANGE}' in {described}");
            return Err(Refusal::precondition_failed(&text));
        }
        let kind = match arguments.get(QUEUE_TYPE) {
            Some(Argument::Text(kind)) => match kind.as_str() {
                "quorum" => Kind::Quorum,
                "classic" => Kind::Classic,
                "stream" => return Err(Refusal::no_streams()),
                other => return Err(invalid(QUEUE_TYPE, &format!("\"unsupported queue type '{other}'\""))),
            },
            Some(other) => return Err(invalid(QUEUE_TYPE, &unacceptable(other))),
            None => Kind::Classic,
        };
        let (known, other, module): (&[&str], &[&str], _) = match kind {
            Kind::Quorum => (&QUORUM, &CLASSIC, "rabbit_quorum_queue"),
            Kind::Classic => (&CLASSIC, &QUORUM, "rabbit_classic_queue"),
        };
        for (argument, value) in &arguments {
            if known.contains(&argument.as_str()) {
                check(argument, value, &arguments).map_err(|why| invalid(argument, &why))?;
            }
        }
        for argument in arguments.keys().map(String::as_str) {
            if !known.contains(&argument) && (other.contains(&argument) || FOREIGN.contains(&argument)) {
                let text = format!("invalid arg '{argument}' for {described} of queue type {module}");
                return Err(Refusal::precondition_failed(&text));
            }
        }
        Ok(Self::of(kind, arguments))
    }

    fn of(kind: Kind, arguments: Arguments) -> Self {
        let overflow = match (text(&arguments, OVERFLOW), kind) {
            (Some("reject-publish"), _) => Overflow::RejectPublish,
            (Some("reject-publish-dlx"), Kind::Classic) => Overflow::RejectPublishDlx,
            // Quorum queues do not know `reject-publish-dlx` and take the default instead.
            _ => Overflow::DropHead,
        };
        let at_least_once = kind == Kind::Quorum
            && overflow == Overflow::RejectPublish
            && text(&arguments, DEAD_LETTER_STRATEGY) == Some("at-least-once");
        let dead_letters = text(&arguments, DEAD_LETTER_EXCHANGE).map(|exchange| DeadLetters {
            exchange: exchange.into(),
            routing_key: text(&arguments, DEAD_LETTER_ROUTING_KEY).map(str::to_owned),
            at_least_once,
        });
        // A limit that is no number is accepted (measured), and no number is beyond it.
        let delivery_limit = match (kind, arguments.get(DELIVERY_LIMIT)) {
            (Kind::Quorum, None) => Some(DEFAULT_DELIVERY_LIMIT),
            (Kind::Quorum, Some(Argument::Integer(limit))) => {
                u64::try_from(*limit).ok().map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
            }
            _ => None,
        };
        let single_active = arguments.get(SINGLE_ACTIVE) == Some(&Argument::Bool(true));
        Self {
            kind,
            message_ttl: number(&arguments, MESSAGE_TTL),
            expires: number(&arguments, EXPIRES).map(Duration::from_millis),
            max_length: number(&arguments, MAX_LENGTH),
            max_bytes: number(&arguments, MAX_LENGTH_BYTES),
            overflow,
            dead_letters,
            delivery_limit,
            single_active,
            arguments,
        }
    }

    /// Checks that a queue that is there would come out of these arguments, [`with_type`], too.
    pub(super) fn assert_same(&self, name: &str, declared: &Arguments) -> Result<(), Refusal> {
        let known: &[&str] = match self.kind {
            Kind::Quorum => &QUORUM,
            Kind::Classic => &CLASSIC,
        };
        let described = refusal::queue(name);
        known.iter().try_for_each(|argument| {
            assert_equal(argument, &described, declared.get(*argument), self.arguments.get(*argument))
        })
    }
}

/// What is wrong with an argument that the queue's type knows, as RabbitMQ prints it.
fn check(name: &str, value: &Argument, all: &Arguments) -> Result<(), String> {
    let one_of = |known: &[&str], otherwise: &dyn Fn(&str) -> String| match value {
        Argument::Text(text) if known.contains(&text.as_str()) => Ok(()),
        Argument::Text(text) => Err(otherwise(text)),
        other => Err(unacceptable(other)),
    };
    match name {
        EXPIRES if integer(value)? == 0 => Err("{value_zero,0}".to_owned()),
        EXPIRES | MESSAGE_TTL => match integer(value)? {
            negative @ ..0 => Err(format!("{{value_negative,{negative}}}")),
            large if large > LONGEST_TTL => Err(format!("{{value_too_large,{large}}}")),
            _ => Ok(()),
        },
        MAX_LENGTH | MAX_LENGTH_BYTES | "x-max-in-memory-length" | "x-max-in-memory-bytes" | MAX_PRIORITY => {
            match integer(value)? {
                negative @ ..0 => Err(format!("{{value_negative,{negative}}}")),
                large if name == MAX_PRIORITY && large > 255 => Err(format!("{{max_value_exceeded,{large}}}")),
                _ => Ok(()),
            }
        }
        "x-quorum-initial-group-size" => match integer(value)? {
            0 => Err("{value_zero,0}".to_owned()),
            negative @ ..0 => Err(format!("{{value_negative,{negative}}}")),
            _ => Ok(()),
        },
        QUEUE_VERSION => match integer(value)? {
            1 | 2 => Ok(()),
            other => Err(format!("\"unsupported queue version '{other}'\"")),
        },
        DEAD_LETTER_ROUTING_KEY => match value {
            Argument::Text(_) if all.contains_key(DEAD_LETTER_EXCHANGE) => Ok(()),
            Argument::Text(_) => Err("routing_key_but_no_dlx_defined".to_owned()),
            other => Err(unacceptable(other)),
        },
        DEAD_LETTER_STRATEGY => one_of(&["at-most-once", "at-least-once"], &|_| "invalid_dlx_strategy".to_owned()),
        OVERFLOW => one_of(&["drop-head", "reject-publish", "reject-publish-dlx"], &|_| "invalid_overflow".to_owned()),
        QUEUE_MODE => one_of(&["default", "lazy"], &|mode| format!("\"unsupported queue mode '{mode}'\"")),
        SINGLE_ACTIVE => match value {
            Argument::Bool(_) => Ok(()),
            other => Err(unacceptable(other)),
        },
        _ => Ok(()),
    }
}

/// Checks one argument of a declaration against that of what is there.
pub(super) fn assert_equal(
    argument: &str,
    described: &str,
    received: Option<&Argument>,
    current: Option<&Argument>,
) -> Result<(), Refusal> {
    let (received, current) = match (received, current) {
        (received, current) if received == current => return Ok(()),
        (Some(received), Some(current)) => (format!("'{}'", plain(received)), format!("'{}'", plain(current))),
        (received, current) => (typed(received), typed(current)),
    };
    unequal(argument, described, &received, &current)
}

/// Refuses a declaration for one field.
pub(super) fn unequal(
    argument: &str,
    described: &str,
    received: &dyn Display,
    current: &dyn Display,
) -> Result<(), Refusal> {
    let text = format!("inequivalent arg '{argument}' for {described}: received {received} but current is {current}");
    Err(Refusal::precondition_failed(&text))
}

fn plain(value: &Argument) -> String {
    match value {
        Argument::Text(text) => text.clone(),
        Argument::Integer(number) => number.to_string(),
        Argument::Bool(value) => value.to_string(),
    }
}

fn typed(value: Option<&Argument>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |value| format!("the value '{}' of type '{}'", plain(value), type_name(value)),
    )
}

/// The type that our clients send a value as, in RabbitMQ's words.
fn type_name(value: &Argument) -> &'static str {
    match value {
        Argument::Text(_) => "longstr",
        Argument::Integer(_) => "long",
        Argument::Bool(_) => "bool",
    }
}

fn unacceptable(value: &Argument) -> String {
    format!("{{unacceptable_type,{}}}", type_name(value))
}

fn integer(value: &Argument) -> Result<i64, String> {
    match value {
        Argument::Integer(number) => Ok(*number),
        other => Err(format!("\"expected integer, got {}\"", type_name(other))),
    }
}

fn text<'a>(arguments: &'a Arguments, name: &str) -> Option<&'a str> {
    match arguments.get(name) {
        Some(Argument::Text(text)) => Some(text),
        _ => None,
    }
}

fn number(arguments: &Arguments, name: &str) -> Option<u64> {
    match arguments.get(name) {
        Some(Argument::Integer(number)) => u64::try_from(*number).ok(),
        _ => None,
    }
}
