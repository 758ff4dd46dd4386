//! What is run, and what has to come of it.

use std::time::Duration;

use rabbitry::QueueType;

use crate::contender::{Prefetch, Task};

/// One thing to measure.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) task: Task,
    /// How many events a run has.
    pub(crate) events: u64,
    /// Bytes of an event's body, about.
    pub(crate) size: usize,
    pub(crate) queue_type: QueueType,
    pub(crate) bounds: &'static [Bound],
    /// Whether it runs only where it is named.
    pub(crate) on_request: bool,
}

impl Scenario {
    /// Whether its queue is full before a run.
    pub(crate) fn is_filled(&self) -> bool {
        matches!(self.task, Task::Consume { .. } | Task::Answer { .. } | Task::Beside { .. } | Task::Retry)
    }

    /// Whether it needs a broker.
    pub(crate) fn has_broker(&self) -> bool {
        !matches!(self.task, Task::Memory { .. })
    }
}

/// What rabbitry has to reach beside others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) quantity: Quantity,
    /// The best of these, by its median.
    pub(crate) beside: &'static [&'static str],
    /// A rate at least, anything else at most so many times theirs.
    pub(crate) ratio: f64,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Events per second.
    Rate,
    /// Processor time per event.
    Cpu,
    /// The median of the latency.
    Latency,
}

impl Quantity {
    /// Whether more of it is better.
    pub(crate) fn is_better_high(self) -> bool {
        self == Self::Rate
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rate => "events/s",
            Self::Cpu => "CPU/event",
            Self::Latency => "p50",
        })
    }
}

const fn bound(quantity: Quantity, ratio: f64, beside: &'static [&'static str]) -> Bound {
    Bound { quantity, beside, ratio }
}

const PUBLISH: &[Bound] = &[
    bound(Quantity::Rate, 0.95, &["lapin-tight"]),
    bound(Quantity::Rate, 15.0, &["lapin-readme"]),
    bound(Quantity::Cpu, 1.25, &["lapin-tight"]),
];
const CONSUME: &[Bound] = &[
    bound(Quantity::Rate, 0.95, &["lapin-tight", "amqprs"]),
    bound(Quantity::Rate, 3.0, &["lapin-readme"]),
    bound(Quantity::Cpu, 1.25, &["lapin-tight"]),
    bound(Quantity::Cpu, 0.6, &["kanin"]),
    bound(Quantity::Cpu, 0.6, &["ruststream"]),
    bound(Quantity::Cpu, 0.2, &["lapin-readme"]),
];
const CONSUME_BEST: &[Bound] =
    &[bound(Quantity::Rate, 0.9, &["lapin-tight", "amqprs", "kanin", "ruststream", "lapin-readme"])];
const SAME_AS_TIGHT: &[Bound] = &[bound(Quantity::Rate, 0.9, &["lapin-tight"])];
const LATENCY: &[Bound] = &[bound(Quantity::Latency, 1.15, &["lapin-tight", "amqprs"])];
const BESIDE: &[Bound] = &[bound(Quantity::Rate, 0.97, &["rabbitry-alone"])];
const MEMORY: &[Bound] = &[bound(Quantity::Rate, 0.5, &["bare-channel"])];

/// How large the events of most scenarios are.
const SMALL: usize = 200;
const LARGE: usize = 10_000;

/// All scenarios, in the order in which they run.
pub(crate) fn all() -> Vec<Scenario> {
    let quorum = |name, about, task, events, bounds| Scenario {
        name,
        about,
        task,
        events,
        size: SMALL,
        queue_type: QueueType::Quorum,
        bounds,
        on_request: false,
    };
    let consume = |prefetch| Task::Consume { prefetch, work: None };
    let millisecond = Some(Duration::from_millis(1));
    let large = |scenario: Scenario| Scenario { size: LARGE, events: scenario.events / 5, bounds: &[], ..scenario };
    let classic = |scenario| Scenario { queue_type: QueueType::Classic, bounds: &[], ..scenario };
    let publish_1000 = quorum("publish-1000", "1000 in flight", Task::Publish { ahead: 1000 }, 30_000, PUBLISH);
    let consume_256 =
        quorum("consume-256", "trivial handler, prefetch 256", consume(Prefetch::Of(256)), 50_000, CONSUME);
    let curve = |name, prefetch| Scenario {
        on_request: true,
        ..quorum(name, "trivial handler", consume(Prefetch::Of(prefetch)), 50_000, &[])
    };
    let mut all = vec![
        quorum("publish-1", "one at a time", Task::Publish { ahead: 1 }, 2_000, &[]),
        quorum("publish-100", "100 in flight", Task::Publish { ahead: 100 }, 30_000, &[]),
        publish_1000.clone(),
        large(Scenario { name: "publish-large", about: "1000 in flight, 10 kB", ..publish_1000.clone() }),
        classic(Scenario { name: "publish-classic", about: "1000 in flight, a classic queue", ..publish_1000 }),
        quorum(
            "publish-tasks",
            "1000 tasks, each one event at a time; by hand 1000 in flight",
            Task::PublishTasks { tasks: 1000 },
            30_000,
            SAME_AS_TIGHT,
        ),
        quorum("consume", "trivial handler, default prefetch", consume(Prefetch::Default), 50_000, &[]),
        consume_256.clone(),
        large(Scenario { name: "consume-large", about: "prefetch 256, 10 kB", ..consume_256.clone() }),
        classic(Scenario { name: "consume-classic", about: "prefetch 256, a classic queue", ..consume_256 }),
        quorum(
            "consume-best",
            "trivial handler, each one's best prefetch",
            consume(Prefetch::Best),
            50_000,
            CONSUME_BEST,
        ),
        quorum(
            "consume-1ms",
            "a handler that waits 1 ms, 16 at a time",
            Task::Consume { prefetch: Prefetch::Of(256), work: millisecond },
            15_000,
            &[],
        ),
        quorum(
            "answer",
            "handle and publish one event each, prefetch 256",
            Task::Answer { prefetch: 256 },
            20_000,
            SAME_AS_TIGHT,
        ),
        quorum("latency", "500 events/s, publish to handler", Task::Latency { a_second: 500 }, 2_000, LATENCY),
        // So long that the broker is done with the new consumers before most of it.
        quorum("beside-100", "beside 100 idle subscriptions", Task::Beside { idle: 100 }, 200_000, BESIDE),
        quorum("retry", "all fail once, and come again after 1 s", Task::Retry, 5_000, &[]),
        quorum("start-200", "start of 200 subscriptions", Task::Start { subscriptions: 200 }, 200, &[]),
        quorum("memory", "publish to handler, no broker, on one core", Task::Memory { ahead: 1000 }, 100_000, MEMORY),
    ];
    // What a prefetch count is chosen by.
    all.extend([
        curve("prefetch-16", 16),
        curve("prefetch-32", 32),
        curve("prefetch-64", 64),
        curve("prefetch-128", 128),
        curve("prefetch-256", 256),
        curve("prefetch-512", 512),
        curve("prefetch-1024", 1024),
        curve("prefetch-4096", 4096),
        Scenario {
            on_request: true,
            ..quorum(
                "prefetch-1ms",
                "a handler that waits 1 ms, 16 at a time, default prefetch",
                Task::Consume { prefetch: Prefetch::Default, work: millisecond },
                15_000,
                &[],
            )
        },
    ]);
    all
}
