//! Copies of a message that failed: to the ladder, to the dead letters. They keep body, properties and headers, but not
//! what the broker would act on.

use std::time::SystemTime;

use super::Reason;
use super::{
    HeaderValue, Message, headers,
    message::{PERSISTENT, encoded_len, header_len},
};

/// What our own headers take at most, in bytes.
const OUR_HEADERS: usize = 8 * 1024;
/// What the text of an error takes at most, in bytes.
const ERROR_TEXT: usize = 2 * 1024;
/// What the broker may add to a header on the way (`x-death` and its like), and what we leave free for it.
const FRAME_RESERVE: usize = 4 * 1024;

/// What a copy says of the failure that it was made for.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// The error and what caused it, in words.
    pub(crate) error: String,
    pub(crate) service: String,
    pub(crate) handler: String,
    pub(crate) queue: String,
    /// How often the handler has run on this event by now.
    pub(crate) attempt: u32,
    pub(crate) at: SystemTime,
}

/// What a copy must fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The connection's largest frame, in bytes.
    pub(crate) frame_max: usize,
}

/// The copy of a message that failed, to be sent to `exchange` with `routing_key`. `fresh_id` is its id if it has none.
pub(crate) fn copy_of(
    message: &Message,
    failure: &Failure,
    exchange: String,
    routing_key: String,
    fresh_id: impl FnOnce() -> String,
    limits: Limits,
) -> Message {
    let mut copy = message.clone();
    copy.exchange = exchange;
    copy.routing_key = routing_key;
    let is_first_copy = !message.properties.headers.contains_key(headers::ORIGINAL_EXCHANGE);
    set_aside(&mut copy, message, is_first_copy);
    copy.properties.message_id.get_or_insert_with(fresh_id);
    describe(&mut copy, message, failure, is_first_copy);
    fit(&mut copy, limits);
    copy
}

/// Takes off what the broker acts on. The first copy keeps the old values under `rabbitry-original-…`; in later ones they
/// are the marks of our own ladder.
fn set_aside(copy: &mut Message, message: &Message, is_first_copy: bool) {
    let properties = &mut copy.properties;
    let old_mode = properties.delivery_mode.replace(PERSISTENT).filter(|mode| *mode != PERSISTENT);
    let expiration = properties.expiration.take();
    let user_id = properties.user_id.take();
    properties.headers.retain(|name, _| !headers::is_the_brokers(name));
    if !is_first_copy {
        return;
    }
    let mut keep = |name: &str, value: HeaderValue| {
        properties.headers.entry(format!("{}{name}", headers::ORIGINAL)).or_insert(value);
    };
    if let Some(expiration) = expiration {
        keep("expiration", HeaderValue::text(expiration));
    }
    if let Some(user_id) = user_id {
        keep("user-id", HeaderValue::text(user_id));
    }
    if let Some(mode) = old_mode {
        keep("delivery-mode", HeaderValue::I64(mode.into()));
    }
    for (name, value) in message.properties.headers.iter().filter(|(name, _)| headers::is_the_brokers(name)) {
        // How often this queue delivered it is no property of the event, and a name must stay a short string.
        if name != headers::DELIVERY_COUNT && name.len() + headers::ORIGINAL.len() <= 255 {
            keep(name, value.clone());
        }
    }
}

fn describe(copy: &mut Message, message: &Message, failure: &Failure, is_first_copy: bool) {
    let table = &mut copy.properties.headers;
    let mut set = |name: &str, value: HeaderValue| table.insert(name.to_owned(), value);
    set(headers::ATTEMPT, HeaderValue::I64(failure.attempt.into()));
    set(headers::REASON, HeaderValue::text(failure.reason.as_str()));
    set(headers::ERROR, HeaderValue::text(shortened(&failure.error)));
    set(headers::SERVICE, HeaderValue::text(&failure.service));
    set(headers::HANDLER, HeaderValue::text(&failure.handler));
    set(headers::QUEUE, HeaderValue::text(&failure.queue));
    let at = headers::format_time(failure.at).unwrap_or_default();
    set(headers::LAST_FAILURE, HeaderValue::text(&at));
    table.entry(headers::FIRST_FAILURE.to_owned()).or_insert_with(|| HeaderValue::text(&at));
    if is_first_copy {
        table.insert(headers::ORIGINAL_EXCHANGE.to_owned(), HeaderValue::text(&message.exchange));
        table.insert(headers::ORIGINAL_ROUTING_KEY.to_owned(), HeaderValue::text(&message.routing_key));
    }
}

/// The first 2 KiB of a text, cut between characters.
fn shortened(text: &str) -> &str {
    if text.len() <= ERROR_TEXT {
        return text;
    }
    let end = (0..=ERROR_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// Leaves out headers, the largest first, until ours fit their limit and all fit one frame: the broker's answer to a
/// header frame that is too large is the end of the connection.
fn fit(copy: &mut Message, limits: Limits) {
    let mut dropped = Vec::new();
    let set_aside = |name: &str| {
        name.starts_with(headers::ORIGINAL)
            && name != headers::ORIGINAL_EXCHANGE
            && name != headers::ORIGINAL_ROUTING_KEY
    };
    while ours(copy) > OUR_HEADERS {
        match drop_largest(copy, set_aside) {
            Some(name) => dropped.push(name),
            None => break,
        }
    }
    let budget = limits.frame_max.saturating_sub(FRAME_RESERVE);
    while copy.properties.encoded_len() + dropped_len(&dropped) > budget {
        match drop_largest(copy, |name| !name.starts_with("rabbitry-") || set_aside(name)) {
            Some(name) => dropped.push(name),
            None => break,
        }
    }
    if !dropped.is_empty() {
        let mut names = dropped.join(", ");
        if let Some(HeaderValue::Text(earlier)) = copy.properties.headers.get(headers::DROPPED) {
            names = format!("{}, {names}", String::from_utf8_lossy(earlier));
        }
        copy.properties.headers.insert(headers::DROPPED.to_owned(), HeaderValue::text(shortened(&names)));
    }
}

fn ours(copy: &Message) -> usize {
    let ours = copy.properties.headers.iter().filter(|(name, _)| name.starts_with("rabbitry-"));
    ours.map(|(name, value)| header_len(name, value)).sum()
}

/// What the header that names the dropped ones takes at most.
fn dropped_len(dropped: &[String]) -> usize {
    let names: usize = dropped.iter().map(|name| name.len() + 2).sum();
    names.min(ERROR_TEXT) + headers::DROPPED.len() + 8
}

fn drop_largest(copy: &mut Message, may_go: impl Fn(&str) -> bool) -> Option<String> {
    let table = &mut copy.properties.headers;
    let (name, _) =
        table.iter().filter(|(name, _)| may_go(name)).max_by_key(|(name, value)| header_len(name, value))?;
    let name = name.clone();
    table.remove(&name);
    Some(name)
}

/// What a message to be published takes of a frame; `None` if it fits with the reserve left free.
pub(crate) fn too_long_for_a_frame(message: &Message, limits: Limits) -> Option<usize> {
    let length = message.properties.encoded_len();
    (length > limits.frame_max.saturating_sub(FRAME_RESERVE)).then_some(encoded_len(&message.properties.headers))
}

/// How often the handler has run on this event, by its header.
pub(crate) fn attempts_so_far(message: &Message) -> u32 {
    let header = message.properties.headers.get(headers::ATTEMPT).and_then(HeaderValue::as_integer);
    header.and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or(0)
}
