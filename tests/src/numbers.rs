//! Events whose data is a number, so that a test can say which were handled.

use std::{
    collections::BTreeSet,
    future::{Ready, ready},
    ops::Range,
};

use rabbitry::{AnyEvent, Publisher};

use crate::{Record, within};

/// A one in so many pairs of brackets, whatever opens and closes them.
#[must_use]
pub fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("{}1{}", open.repeat(depth), close.repeat(depth))
}

/// The number that an event is.
#[must_use]
pub fn number(event: &AnyEvent) -> u64 {
    event.decode().expect("the event is a number")
}

/// The event of this name that is this number.
#[must_use]
pub fn numbered(name: &str, number: u64) -> AnyEvent {
    AnyEvent::new(name, &number).expect("the name is one of an event")
}

/// A handler that notes the numbers.
pub fn note(record: &Record<u64>) -> impl Fn(AnyEvent) -> Ready<()> + Send + Sync + 'static + use<> {
    let record = record.clone();
    move |event| {
        record.add(number(&event));
        ready(())
    }
}

/// Publishes these numbers, and returns once all are confirmed.
#[track_caller]
pub fn publish_numbers(
    publisher: &Publisher<AnyEvent>,
    name: &'static str,
    numbers: Range<u64>,
) -> impl Future<Output = ()> + use<> {
    let publisher = publisher.clone();
    within("publishing", async move {
        publisher.publish_all(numbers.map(|number| numbered(name, number))).await.expect("all are confirmed");
    })
}

/// Checks that what was seen is these numbers, each once.
#[track_caller]
pub fn assert_each_once(mut seen: Vec<u64>, numbers: Range<u64>) {
    seen.sort_unstable();
    assert_eq!(seen, numbers.collect::<Vec<_>>());
}

/// Checks that what was seen is these numbers, each at least once.
#[track_caller]
pub fn assert_all(seen: &[u64], numbers: Range<u64>) {
    let seen: BTreeSet<u64> = seen.iter().copied().collect();
    assert_eq!(seen, numbers.collect());
}

impl Record<u64> {
    /// Waits until each of these numbers was seen at least once, and returns all that was seen.
    #[track_caller]
    pub fn wait_for_all(&self, numbers: Range<u64>) -> impl Future<Output = Vec<u64>> + use<> {
        let record = self.clone();
        let mut count = usize::try_from(numbers.end - numbers.start).unwrap_or(usize::MAX);
        let caller = std::panic::Location::caller();
        within(format!("{caller}: all of {numbers:?}"), async move {
            loop {
                let seen = record.wait_for(count).await;
                let distinct: BTreeSet<u64> = seen.iter().copied().collect();
                if numbers.clone().all(|number| distinct.contains(&number)) {
                    return seen;
                }
                count = seen.len() + 1;
            }
        })
    }
}
