//! Copies of a message that failed: to the ladder, to the dead letters. They keep body, properties and headers, but not
//! what the broker would act on.

use std::time::SystemTime;

use smol_str::SmolStr;

use super::{
    HeaderValue, Message, Properties, Reason, headers,
    message::{PERSISTENT, SHORT_STRING, first_bytes, header_len, short},
};

/// What our own headers take at most, in bytes.
const OUR_HEADERS: usize = 8 * 1024;
/// What the text of an error takes at most, in bytes; and the names of what was dropped.
const ERROR_TEXT: usize = 2 * 1024;
/// What the broker may add to a header on the way (`x-death` and its like), and what we leave free for it.
pub(super) const FRAME_RESERVE: usize = 4 * 1024;

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

/// How often the handler of the queue that this message came from has run on it, by what our own copy says; 0 for a
/// message that did not come to this queue by the delay ladder, whatever it says: a stranger can write any header, and a dead
/// letter that somebody moved carries the count of another queue.
pub(crate) fn attempts_so_far(message: &Message) -> u32 {
    let table = &message.properties.headers;
    let queue = table.get(headers::QUEUE).and_then(HeaderValue::as_text).filter(|queue| !queue.is_empty());
    let before = queue.and_then(|queue| message.routing_key.strip_suffix(queue));
    if !before.is_some_and(|before| before.ends_with(".queue.")) {
        return 0;
    }
    let attempts = table.get(headers::ATTEMPT).and_then(HeaderValue::as_integer);
    // What is beyond any policy is forged too; so the next number is always one.
    attempts.and_then(|attempts| u32::try_from(attempts).ok()).filter(|attempts| *attempts < u32::MAX).unwrap_or(0)
}

/// The copy of a message that failed, to be sent to `exchange` with `routing_key`. `fresh_id` is its id if it has none: the
/// one that the run was given, where its envelope or the runtime had one.
pub(crate) fn copy_of(
    message: &Message,
    failure: &Failure,
    exchange: String,
    routing_key: String,
    fresh_id: impl FnOnce() -> SmolStr,
    limits: Limits,
) -> Message {
    let mut copy = message.clone();
    copy.exchange = exchange.into();
    copy.routing_key = routing_key.into();
    let is_first_copy = !says_where_it_came_from(message);
    let mut dropped = dropped_before(&mut copy.properties);
    set_aside(&mut copy, message, is_first_copy, &mut dropped);
    let id = copy.properties.message_id.take().filter(|id| !id.is_empty()).unwrap_or_else(fresh_id);
    copy.properties.message_id = short(id);
    describe(&mut copy, message, failure, is_first_copy);
    fit(&mut copy, limits, &mut dropped);
    name_dropped(&mut copy.properties, &dropped);
    copy
}

/// Leaves out headers of a message that came, the largest first, until its content header fits a frame of this length, and
/// names them. It may be longer than what was published: brokers add headers of theirs on the way.
pub(crate) fn fit_frame(properties: &mut Properties, frame_max: usize) {
    let mut dropped = dropped_before(properties);
    let counts = |name: &str| is_needed(name) || name == headers::DELIVERY_COUNT;
    drop_largest(properties, Properties::encoded_len, frame_max, &mut dropped, |name| !counts(name));
    // Only where somebody forged one of those.
    drop_largest(properties, Properties::encoded_len, frame_max, &mut dropped, |_| true);
    name_dropped(properties, &dropped);
}

/// Takes the list of what was left out earlier, by a copy or on the way in, so that it is named again.
pub(super) fn dropped_before(properties: &mut Properties) -> Vec<String> {
    let earlier = properties.headers.remove(headers::DROPPED);
    earlier.as_ref().and_then(HeaderValue::as_text).map(str::to_owned).into_iter().collect()
}

pub(super) fn name_dropped(properties: &mut Properties, dropped: &[String]) {
    if !dropped.is_empty() {
        let names = HeaderValue::text(shortened(&dropped.join(", ")));
        properties.headers.insert(headers::DROPPED.to_owned(), names);
    }
}

/// Whether an earlier copy noted the exchange and the routing key. Both are short strings; what is none of that is forged.
pub(super) fn says_where_it_came_from(message: &Message) -> bool {
    [headers::ORIGINAL_EXCHANGE, headers::ORIGINAL_ROUTING_KEY].into_iter().all(|name| {
        let value = message.properties.headers.get(name).and_then(HeaderValue::as_text);
        value.is_some_and(|text| text.len() <= SHORT_STRING)
    })
}

/// Takes off what the broker acts on. The first copy keeps the old values under `rabbitry-original-…`; in later ones they
/// are the marks of our own ladder.
pub(super) fn set_aside(copy: &mut Message, message: &Message, is_first_copy: bool, dropped: &mut Vec<String>) {
    let properties = &mut copy.properties;
    let old_mode = properties.delivery_mode.replace(PERSISTENT).filter(|mode| *mode != PERSISTENT);
    let expiration = properties.expiration.take();
    let user_id = properties.user_id.take();
    properties.headers.retain(|name, _| !headers::is_the_brokers(name));
    if !is_first_copy {
        return;
    }
    let mut keep = |name: &str, value: HeaderValue| {
        properties.headers.insert(format!("{}{name}", headers::ORIGINAL), value);
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
        if name == headers::DELIVERY_COUNT {
            // How often this queue delivered it is no property of the event.
        } else if name.len() + headers::ORIGINAL.len() <= SHORT_STRING {
            keep(name, value.clone());
        } else {
            dropped.push(name.clone());
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
    let earlier = message.properties.headers.get(headers::FIRST_FAILURE).and_then(HeaderValue::as_text);
    // Written anew, so that what is kept is a time and no more.
    let first = earlier.filter(|_| !is_first_copy).and_then(headers::parse_time).and_then(headers::format_time);
    set(headers::FIRST_FAILURE, HeaderValue::text(first.unwrap_or(at)));
    if is_first_copy {
        note_origin(copy, message);
    }
}

pub(super) fn note_origin(copy: &mut Message, message: &Message) {
    let table = &mut copy.properties.headers;
    table.insert(headers::ORIGINAL_EXCHANGE.to_owned(), HeaderValue::text(&message.exchange));
    table.insert(headers::ORIGINAL_ROUTING_KEY.to_owned(), HeaderValue::text(&message.routing_key));
}

/// The first 2 KiB of a text, cut between characters.
fn shortened(text: &str) -> &str {
    first_bytes(text, ERROR_TEXT)
}

/// Whether every copy writes this header itself, in a length that we know. All others can be left out.
fn is_always_written(name: &str) -> bool {
    matches!(
        name,
        headers::ATTEMPT
            | headers::REASON
            | headers::ERROR
            | headers::SERVICE
            | headers::HANDLER
            | headers::QUEUE
            | headers::FIRST_FAILURE
            | headers::LAST_FAILURE
            | headers::ORIGINAL_EXCHANGE
            | headers::ORIGINAL_ROUTING_KEY
    )
}

/// Whether a copy made this header: those of every copy, and what it set aside.
fn is_of_the_copy(name: &str) -> bool {
    is_always_written(name) || name.starts_with(headers::ORIGINAL)
}

/// Leaves out headers, the largest first, until ours fit their limit and all fit one frame: the broker's answer to a
/// header frame that is too large is the end of the connection.
fn fit(copy: &mut Message, limits: Limits, dropped: &mut Vec<String>) {
    let budget = limits.frame_max.saturating_sub(FRAME_RESERVE);
    fit_ours(copy, dropped);
    drop_largest(&mut copy.properties, Properties::encoded_len, budget, dropped, |name| !is_always_written(name));
    // What has just been dropped is named in a header of ours.
    fit_ours(copy, dropped);
    // Only where a frame is of some 10 KiB or less.
    drop_largest(&mut copy.properties, Properties::encoded_len, budget, dropped, |name| !is_needed(name));
}

/// Whether a retry can't do without this header.
fn is_needed(name: &str) -> bool {
    matches!(name, headers::ATTEMPT | headers::QUEUE | headers::ORIGINAL_EXCHANGE | headers::ORIGINAL_ROUTING_KEY)
}

fn fit_ours(copy: &mut Message, dropped: &mut Vec<String>) {
    let ours = |properties: &Properties| {
        let ours = properties.headers.iter().filter(|(name, _)| is_of_the_copy(name));
        ours.map(|(name, value)| header_len(name, value)).sum()
    };
    let may_go = |name: &str| is_of_the_copy(name) && !is_always_written(name);
    drop_largest(&mut copy.properties, ours, OUR_HEADERS, dropped, may_go);
}

/// Leaves out the largest headers of those that may go, until the length and the header that names them are no more than
/// `most`.
fn drop_largest(
    properties: &mut Properties,
    length: impl Fn(&Properties) -> usize,
    most: usize,
    dropped: &mut Vec<String>,
    may_go: impl Fn(&str) -> bool,
) {
    let mut length = length(properties);
    let mut names = dropped.iter().map(|name| name.len() + 2).sum();
    if length + named_len(names) <= most {
        return;
    }
    let table = &mut properties.headers;
    let sizes = table.iter().filter(|(name, _)| may_go(name));
    let mut sizes: Vec<_> = sizes.map(|(name, value)| (header_len(name, value), name.clone())).collect();
    sizes.sort_unstable();
    while let (true, Some((size, name))) = (length + named_len(names) > most, sizes.pop()) {
        length -= size;
        names += name.len() + 2;
        table.remove(&name);
        dropped.push(name);
    }
}

/// What the header takes that names the dropped ones, by the length of their list: its name, type, length and text.
fn named_len(names: usize) -> usize {
    if names == 0 { 0 } else { 1 + headers::DROPPED.len() + 5 + names.min(ERROR_TEXT) }
}

/// The bytes by which the header of a message to be published is too long for a frame, with what the broker may add; `None`
/// if it fits. Such a message must not be written: the broker's answer is the end of the connection.
pub(crate) fn too_long_for_a_frame(message: &Message, limits: Limits) -> Option<usize> {
    let most = limits.frame_max.saturating_sub(FRAME_RESERVE);
    message.properties.encoded_len().checked_sub(most).filter(|excess| *excess > 0)
}
