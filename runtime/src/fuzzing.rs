//! The way in from outside, for the fuzz targets in `fuzz/`. It is there only in their builds, and in tests, which send their
//! seeds through it.

use std::time::SystemTime;

use serde_json::Value;

use crate::{
    AnyEvent, EventSet, Format, Reason, RetryPolicy,
    envelope::{self, Failure, Limits, Message, attempts_so_far, copy_of, headers},
    event::without_values,
    transport::amqp::fuzz,
};

const QUEUE: &str = "service.handler";
const LIMITS: Limits = Limits { frame_max: 131_072 };

/// A stream of frames as a broker sends it; the first byte says how many bytes of it come at once.
pub fn stream(bytes: &[u8]) {
    if let Some((at_once, stream)) = bytes.split_first() {
        fuzz::stream(stream, (*at_once).into());
    }
}

/// A message, from its bytes to the copy that goes to the dead letters: two bytes of length and so many of properties (flags
/// and all), one byte of length and so many of a routing key, and a body.
pub fn message(bytes: &[u8]) {
    let Some(message) = read(bytes) else { return };
    let attempt = attempts_so_far(&message).saturating_add(1);
    // Whatever is forged, a policy decides, and its end is an end.
    let policy = RetryPolicy::default();
    let _ = policy.decide(attempt, 0.5);
    for format in [None, Some(Format::Default), Some(Format::Bare)] {
        if let Ok(incoming) = envelope::decode(&message, format) {
            if let Ok(event) = <AnyEvent as EventSet>::decode(incoming.payload()) {
                let _ = event.decode::<Value>();
            }
            let _ = incoming.payload().decode::<u64>();
            let _ = incoming.metadata();
        }
    }
    if let Err(error) = serde_json::from_slice::<u64>(&message.body) {
        let _ = without_values(&error);
    }
    let first = copy(&message, attempt);
    let written = check(&first, &message, attempt);
    // Not the properties themselves, which may hold what is equal to nothing.
    let again = check(&copy(&first, attempt), &message, attempt);
    assert_eq!(written, again, "once it fits, a copy is copied without loss");
}

fn read(bytes: &[u8]) -> Option<Message> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (properties, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let (length, rest) = rest.split_first()?;
    let (key, body) = rest.split_at_checked((*length).into())?;
    Some(Message {
        exchange: "events".into(),
        routing_key: fuzz::text(key).into(),
        properties: fuzz::properties(properties)?,
        body: body.to_vec().into(),
    })
}

/// The copy that the ladder brings back to the queue.
fn copy(message: &Message, attempt: u32) -> Message {
    let failure = Failure {
        reason: Reason::Undecodable,
        error: "no".to_owned(),
        service: "service".to_owned(),
        handler: "handler".to_owned(),
        queue: QUEUE.to_owned(),
        attempt,
        at: SystemTime::UNIX_EPOCH,
    };
    let key = format!("{}queue.{QUEUE}", "0.".repeat(28));
    copy_of(message, &failure, "rabbitry.v1.delay.out".to_owned(), key, || "fresh".into(), LIMITS)
}

/// Checks a copy; its properties as they are written.
fn check(copy: &Message, of: &Message, attempt: u32) -> Vec<u8> {
    assert_eq!(attempts_so_far(copy), attempt);
    assert_eq!(copy.body, of.body);
    assert!(copy.properties.headers.keys().all(|name| !headers::is_the_brokers(name)));
    let written = fuzz::written(&copy.properties);
    assert!(written.len() + 20 + 4096 <= LIMITS.frame_max, "{} bytes of properties", written.len());
    // It says of its event what the message said, unless that forged an origin.
    let forged = of.properties.headers.contains_key(headers::ORIGINAL_ROUTING_KEY);
    for format in [None, Some(Format::Bare)] {
        if let (Ok(copy), Ok(of), false) = (envelope::decode(copy, format), envelope::decode(of, format), forged) {
            assert_eq!((copy.name, copy.data), (of.name, of.data));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Sends all seeds of a target through it.
    fn seeds(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
        let seeds = fs::read_dir(&folder).unwrap().map(|seed| fs::read(seed.unwrap().path()).unwrap());
        assert!(seeds.inspect(|seed| run(seed)).count() > 5, "few seeds in {}", folder.display());
    }

    #[test]
    fn seeds_of_streams_do_no_harm() {
        seeds("stream", super::stream);
    }

    #[test]
    fn seeds_of_messages_do_no_harm() {
        seeds("message", super::message);
    }
}
