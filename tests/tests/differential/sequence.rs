//! What is declared and done: all of it follows from a seed.

use std::fmt;

use fastrand::Rng;
use rabbitry::{
    ExchangeKind, QueueType,
    topology::{Argument, Arguments},
};

/// How long a message stays in a queue that has a limit of time.
pub(super) const TTL_MS: u64 = 300;

/// The routing keys, and what is bound with them; `late` goes to queues with a limit of time alone.
const KEYS: [&str; 6] = ["a", "b", "a.b", "a.b.c", "", "late"];
const PATTERNS: [&str; 9] = ["a", "#", "*", "a.*", "a.#", "#.c", "*.b.*", "a.b.#", ""];

/// A random topology and what is done with it.
pub(super) struct Plan {
    pub(super) exchanges: Vec<(String, ExchangeKind, Option<String>)>,
    pub(super) queues: Vec<PlannedQueue>,
    pub(super) bindings: Vec<(String, Target, String)>,
    pub(super) operations: Vec<Operation>,
}

pub(super) struct PlannedQueue {
    pub(super) name: String,
    pub(super) kind: QueueType,
    pub(super) arguments: Arguments,
}

#[derive(Clone, Debug)]
pub(super) enum Target {
    Queue(String),
    Exchange(String),
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// To an exchange by its place (one beyond the last is missing), with a routing key, by this number as id and body.
    Publish {
        exchange: usize,
        key: &'static str,
        number: u64,
        mandatory: bool,
    },
    /// The same with the key `late`, and then all limits of time pass.
    PublishLate {
        number: u64,
    },
    /// To a queue by the default exchange.
    Send {
        queue: usize,
        number: u64,
        expires: bool,
    },
    Consume {
        queue: usize,
        prefetch: u16,
    },
    /// The delivery at this place among those that the queue's consumer has in hand.
    Ack {
        queue: usize,
        place: usize,
    },
    AckUpTo {
        queue: usize,
        place: usize,
    },
    Requeue {
        queue: usize,
        place: usize,
    },
    Reject {
        queue: usize,
        place: usize,
    },
    /// A tag that was never given out.
    AckUnknown {
        queue: usize,
    },
    Stop {
        queue: usize,
    },
    CloseChannel {
        queue: usize,
    },
    CloseConnection,
    /// The same queue with other arguments.
    DeclareOtherwise {
        queue: usize,
    },
}

impl Operation {
    pub(super) const KINDS: [&'static str; 13] = [
        "Publish",
        "PublishLate",
        "Send",
        "Consume",
        "Ack",
        "AckUpTo",
        "Requeue",
        "Reject",
        "AckUnknown",
        "Stop",
        "CloseChannel",
        "CloseConnection",
        "DeclareOtherwise",
    ];

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Publish { .. } => "Publish",
            Self::PublishLate { .. } => "PublishLate",
            Self::Send { .. } => "Send",
            Self::Consume { .. } => "Consume",
            Self::Ack { .. } => "Ack",
            Self::AckUpTo { .. } => "AckUpTo",
            Self::Requeue { .. } => "Requeue",
            Self::Reject { .. } => "Reject",
            Self::AckUnknown { .. } => "AckUnknown",
            Self::Stop { .. } => "Stop",
            Self::CloseChannel { .. } => "CloseChannel",
            Self::CloseConnection => "CloseConnection",
            Self::DeclareOtherwise { .. } => "DeclareOtherwise",
        }
    }
}

impl Plan {
    pub(super) fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let name = |what: &str, place: usize| format!("{seed}-{what}{place}");
        let mut exchanges = Vec::new();
        for place in 0..rng.usize(1..4) {
            let kind =
                [ExchangeKind::Topic, ExchangeKind::Topic, ExchangeKind::Direct, ExchangeKind::Fanout][rng.usize(..4)];
            // Of one that is declared before.
            let alternate = (place > 0 && rng.u8(..4) == 0).then(|| name("x", rng.usize(..place)));
            exchanges.push((name("x", place), kind, alternate));
        }
        let count = rng.usize(2..5);
        let mut queues = Vec::new();
        for place in 0..count {
            queues.push(PlannedQueue::random(&mut rng, name("q", place), &exchanges));
        }
        // One in which messages grow old. Nobody sends to it but by `late`.
        let (late, next) = (name("late", 0), name("q", rng.usize(..count)));
        let mut arguments = Arguments::from([
            ("x-message-ttl".to_owned(), Argument::Integer(i64::try_from(TTL_MS).expect("it is small"))),
            ("x-dead-letter-exchange".to_owned(), Argument::from("")),
            ("x-dead-letter-routing-key".to_owned(), Argument::from(next)),
        ]);
        let kind = random_kind(&mut rng, &mut arguments);
        queues.push(PlannedQueue { name: late.clone(), kind, arguments });
        let mut bindings = vec![(exchanges[0].0.clone(), Target::Queue(late), "late".to_owned())];
        for _ in 0..rng.usize(2..8) {
            let source = exchanges[rng.usize(..exchanges.len())].0.clone();
            let target = if rng.u8(..5) == 0 {
                Target::Exchange(exchanges[rng.usize(..exchanges.len())].0.clone())
            } else {
                Target::Queue(queues[rng.usize(..count)].name.clone())
            };
            bindings.push((source, target, PATTERNS[rng.usize(..PATTERNS.len())].to_owned()));
        }
        let operations =
            (0..rng.u64(8..24)).map(|number| Operation::random(&mut rng, exchanges.len(), count, number)).collect();
        Self { exchanges, queues, bindings, operations }
    }
}

/// A quorum queue with a limit of its own, or a classic one.
fn random_kind(rng: &mut Rng, arguments: &mut Arguments) -> QueueType {
    if rng.bool() {
        return QueueType::Classic;
    }
    arguments.insert("x-delivery-limit".to_owned(), Argument::Integer([1, 2, 20][rng.usize(..3)]));
    QueueType::Quorum
}

impl PlannedQueue {
    fn random(rng: &mut Rng, name: String, exchanges: &[(String, ExchangeKind, Option<String>)]) -> Self {
        let mut arguments = Arguments::new();
        if rng.bool() {
            let exchange = if rng.bool() { String::new() } else { exchanges[rng.usize(..exchanges.len())].0.clone() };
            arguments.insert("x-dead-letter-exchange".to_owned(), Argument::from(exchange));
            if rng.bool() {
                arguments.insert("x-dead-letter-routing-key".to_owned(), Argument::from(KEYS[rng.usize(..5)]));
            }
        }
        if rng.u8(..5) == 0 {
            arguments.insert("x-max-length".to_owned(), Argument::Integer(rng.i64(1..4)));
        }
        let kind = random_kind(rng, &mut arguments);
        // What a quorum queue refuses beyond its length is not exact.
        if kind == QueueType::Classic && arguments.contains_key("x-max-length") && rng.bool() {
            arguments.insert("x-overflow".to_owned(), Argument::from("reject-publish"));
        }
        Self { name, kind, arguments }
    }
}

impl Operation {
    fn random(rng: &mut Rng, exchanges: usize, queues: usize, number: u64) -> Self {
        let (queue, place) = (rng.usize(..queues), rng.usize(..3));
        match rng.u8(..40) {
            0..13 => {
                // Rarely one that is missing.
                let exchange = if rng.u8(..25) == 0 { exchanges } else { rng.usize(..exchanges) };
                let key = KEYS[rng.usize(..5)];
                Self::Publish { exchange, key, number, mandatory: rng.bool() }
            }
            13..15 => Self::PublishLate { number },
            15..18 => Self::Send { queue, number, expires: rng.u8(..4) == 0 },
            18..24 => Self::Consume { queue, prefetch: rng.u16(1..4) },
            24..27 => Self::Ack { queue, place },
            27 => Self::AckUpTo { queue, place },
            28..31 => Self::Requeue { queue, place },
            31..34 => Self::Reject { queue, place },
            34 => Self::AckUnknown { queue },
            35 => Self::Stop { queue },
            36..38 => Self::CloseChannel { queue },
            38 => Self::CloseConnection,
            _ => Self::DeclareOtherwise { queue },
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, kind, alternate) in &self.exchanges {
            writeln!(f, "exchange {name} {kind:?}, alternate {alternate:?}")?;
        }
        for queue in &self.queues {
            writeln!(f, "queue {} {:?} {:?}", queue.name, queue.kind, queue.arguments)?;
        }
        for (source, target, key) in &self.bindings {
            writeln!(f, "binding {source} -> {target:?} by `{key}`")?;
        }
        Ok(())
    }
}
