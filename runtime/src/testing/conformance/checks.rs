//! Numbered messages, and checks that say what is missing, too much or there twice.

use crate::transport::{Delivery, Message, TransportError};

/// A persistent message with this id, which is its body, too.
pub(super) fn message(exchange: &str, routing_key: &str, id: impl Into<String>) -> Message {
    let id = id.into();
    let mut message = Message { exchange: exchange.into(), routing_key: routing_key.into(), ..Message::default() };
    message.body = id.clone().into();
    message.properties.message_id = Some(id.into());
    message.properties.delivery_mode = Some(2);
    message
}

/// The same for one queue, by the default exchange.
pub(super) fn to(queue: &str, id: impl Into<String>) -> Message {
    message("", queue, id)
}

/// Messages for one queue, numbered.
pub(super) fn numbered(queue: &str, numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers.map(|number| to(queue, number.to_string())).collect()
}

/// The ids of numbered messages.
pub(super) fn numbers(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

pub(super) fn id(delivery: &Delivery) -> &str {
    delivery.message.properties.message_id.as_deref().unwrap_or("a message without an id")
}

pub(super) fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| id(delivery).to_owned()).collect()
}

/// Checks that these ids were seen in this order.
#[track_caller]
pub(super) fn assert_ids<S: AsRef<str>>(what: &str, seen: &[Delivery], expected: impl IntoIterator<Item = S>) {
    let expected: Vec<String> = expected.into_iter().map(|id| id.as_ref().to_owned()).collect();
    let seen = ids(seen);
    assert!(seen == expected, "{what}: {}", difference(&seen, &expected));
}

/// Checks that these ids were seen, each as often as it stands here, in any order.
#[track_caller]
pub(super) fn assert_same<S: AsRef<str>, T: AsRef<str>>(
    what: &str,
    seen: impl IntoIterator<Item = S>,
    expected: impl IntoIterator<Item = T>,
) {
    let mut seen: Vec<String> = seen.into_iter().map(|id| id.as_ref().to_owned()).collect();
    let mut expected: Vec<String> = expected.into_iter().map(|id| id.as_ref().to_owned()).collect();
    seen.sort_unstable();
    expected.sort_unstable();
    assert!(seen == expected, "{what}: {}", difference(&seen, &expected));
}

/// What is missing, what is too much and what came more than once.
fn difference(seen: &[String], expected: &[String]) -> String {
    let times = |list: &[String], id: &String| list.iter().filter(|other| *other == id).count();
    let pick = |from: &[String], wanted: &dyn Fn(&String) -> bool| {
        let mut picked: Vec<String> = from.iter().filter(|id| wanted(id)).cloned().collect();
        picked.dedup();
        shortened(&picked)
    };
    let missing = pick(expected, &|id| times(seen, id) == 0);
    let extra = pick(seen, &|id| times(expected, id) == 0);
    let duplicated = pick(seen, &|id| times(seen, id) > times(expected, id).max(1));
    let order = if missing == "[]" && extra == "[]" && duplicated == "[]" { "; the order differs" } else { "" };
    format!(
        "expected {} ids {}, saw {} ids {}; missing {missing}, extra {extra}, duplicated {duplicated}{order}",
        expected.len(),
        shortened(expected),
        seen.len(),
        shortened(seen)
    )
}

fn shortened(ids: &[String]) -> String {
    const SHOWN: usize = 20;
    match ids.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{:?} and {more} more", &ids[..SHOWN]),
        _ => format!("{ids:?}"),
    }
}

/// Checks that the broker refused with this code.
#[track_caller]
pub(super) fn assert_refused<T: std::fmt::Debug>(what: &str, answer: Result<T, TransportError>, expected: u16) {
    match answer {
        Err(TransportError::Refused { code, .. }) if code == expected => {}
        other => panic!("{what}: it is refused with {expected}, but the answer was {other:?}"),
    }
}
