//! What the macros have the compiler check: that names fit types, and that a function can be a handler.
//!
//! The macros write calls of these functions into a `const`, so a mistake is a compile error at the user's own words.

use std::{borrow::Cow, fmt, future::Future};

use super::{Argument, HandlerError, Outcome, Takes};
use crate::event::{EventType, Events};

/// Whether it can be an argument of a handler, and what it takes.
#[must_use]
pub const fn argument<A: Argument>() -> Takes {
    A::TAKES
}

/// The events that a handler of these arguments takes. Panics, at compile time, unless exactly one of them takes an event.
#[must_use]
#[track_caller]
pub const fn event(arguments: &[Takes]) -> Events {
    let mut taken: Option<Events> = None;
    let mut i = 0;
    while i < arguments.len() {
        if let Takes::Event(events) = arguments[i] {
            if taken.is_some() {
                panic!(
                    "a handler takes one event, this one takes two: to take any of several, make an enum of them with #[derive(EventSet)]"
                );
            }
            taken = Some(events);
        }
        i += 1;
    }
    match taken {
        None => panic!(
            "a handler takes the event by value, this one takes none: add an argument of the event's type, or `AnyEvent`"
        ),
        Some(events) => events,
    }
}

/// Panics, at compile time, unless a handler that takes `events` can subscribe to `name`.
#[track_caller]
pub const fn name(name: &str, events: Events) {
    let Events::Of(events) = events else { return };
    if is_pattern(name) {
        Text::new()
            .and("`")
            .and(name)
            .and("` is a pattern, but the argument takes only ")
            .and_all(events)
            .and(": take `AnyEvent`, or name the events")
            .panic();
    }
    if !holds(events, name, events.len()) {
        Text::new()
            .and("subscribed to `")
            .and(name)
            .and("`, but the argument takes ")
            .and_all(events)
            .and(": correct the name here or the argument's type")
            .panic();
    }
}

/// Panics, at compile time, unless all `events` of a handler's argument are subscribed to.
#[track_caller]
pub const fn all(names: &[&str], events: Events) {
    let Events::Of(events) = events else { return };
    let mut i = 0;
    while i < events.len() {
        if !contains(names, name_of(&events[i])) {
            Text::new()
                .and("the argument can be `")
                .and(name_of(&events[i]))
                .and("`, which is not subscribed to: add the name here, or take it out of the set")
                .panic();
        }
        i += 1;
    }
}

/// Panics, at compile time, if a set's event number `index` has the name of one before it.
#[track_caller]
pub const fn distinct(events: &[EventType], index: usize) {
    let name = name_of(&events[index]);
    if holds(events, name, index) {
        Text::new()
            .and("the set holds `")
            .and(name)
            .and("` already: a received event of that name could be either, keep one")
            .panic();
    }
}

/// A field of an event or payload, as the event's `Debug` shows it.
pub fn shown<T: Shown>(field: &T) -> &dyn fmt::Debug {
    field
}

/// What has a `Debug`: all fields of an event but the `#[sensitive]` ones.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of an event: it has no `Debug`",
    label = "cannot be shown",
    note = "annotate a type of yours with `#[rabbitry::payload]`: it derives `Debug` and all else that a part of an event needs; a field that is not to be shown is `#[sensitive]`"
)]
pub trait Shown: fmt::Debug {}

#[diagnostic::do_not_recommend]
impl<T: fmt::Debug> Shown for T {}

/// What a handler can return that publishes nothing: `()`, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "a `broadcast` handler cannot return `{Self}`",
    label = "every instance would publish it",
    note = "a `broadcast` handler returns `()` or `Result<(), E>`: each instance gets the event, so what one of them is to say belongs into a handler without `broadcast`",
    note = "`E` is anything that `?` turns into `rabbitry::HandlerError`: your error types, `anyhow::Error`, strings"
)]
pub trait Silent: Outcome {}

impl Silent for () {}

#[diagnostic::do_not_recommend]
impl<E: Into<HandlerError> + Send + 'static> Silent for Result<(), E> {}

/// A future: what a function that is a handler returns if it is not `async` itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a future",
    label = "not a future",
    note = "write `async fn`; or give a plain `fn`, which may block, the option `blocking`"
)]
pub trait IsFuture: Future {}

#[diagnostic::do_not_recommend]
impl<F: Future> IsFuture for F {}

const fn name_of(event: &EventType) -> &str {
    match &event.name {
        Cow::Borrowed(name) => name,
        // A set's events are constants, and a constant cannot own a text.
        Cow::Owned(_) => "",
    }
}

/// Whether one of the first `count` events has this name.
const fn holds(events: &[EventType], wanted: &str, count: usize) -> bool {
    let mut i = 0;
    while i < count {
        if equal(name_of(&events[i]), wanted) {
            return true;
        }
        i += 1;
    }
    false
}

const fn contains(names: &[&str], wanted: &str) -> bool {
    let mut i = 0;
    while i < names.len() {
        if equal(names[i], wanted) {
            return true;
        }
        i += 1;
    }
    false
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn is_pattern(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'*' || bytes[i] == b'#' {
            return true;
        }
        i += 1;
    }
    false
}

/// A message put together at compile time, where there is no `format!`.
struct Text {
    bytes: [u8; 1024],
    len: usize,
}

impl Text {
    const fn new() -> Self {
        Self { bytes: [0; 1024], len: 0 }
    }

    const fn and(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() && self.len < self.bytes.len() {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    const fn and_all(mut self, events: &[EventType]) -> Self {
        let mut i = 0;
        while i < events.len() {
            self = self.and(if i == 0 { "`" } else { ", `" }).and(name_of(&events[i])).and("`");
            i += 1;
        }
        self
    }

    #[track_caller]
    const fn panic(&self) -> ! {
        let (text, _) = self.bytes.split_at(self.len);
        match std::str::from_utf8(text) {
            Ok(text) => panic!("{}", text),
            // Cut at 1 KiB, in the middle of a letter.
            Err(_) => panic!("the names do not fit the argument's events"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnyEvent, EventSet as _, Metadata};

    #[rabbitry_macros::event("order_created", crate = crate)]
    struct OrderCreated {}

    #[rabbitry_macros::event("order_cancelled", crate = crate)]
    struct OrderCancelled {}

    #[derive(rabbitry_macros::EventSet)]
    #[event_set(crate = crate)]
    enum OrderEvent {
        Created(OrderCreated),
        Cancelled(OrderCancelled),
    }

    /// What a check says, at run time here.
    fn said(check: impl FnOnce() + std::panic::UnwindSafe) -> Option<String> {
        let panic = std::panic::catch_unwind(check).err()?;
        match panic.downcast::<String>() {
            Ok(text) => Some(*text),
            Err(panic) => panic.downcast_ref::<&str>().map(ToString::to_string),
        }
    }

    #[test]
    fn a_handler_takes_one_event() {
        let of = |arguments: &[Takes]| {
            let arguments = arguments.to_vec();
            said(move || _ = event(&arguments))
        };
        assert_eq!(of(&[argument::<OrderCreated>()]), None);
        assert_eq!(of(&[argument::<Metadata>(), argument::<AnyEvent>()]), None);
        for without in [&[][..], &[argument::<Metadata>()]] {
            let text = of(without).unwrap();
            assert!(text.starts_with("a handler takes the event by value, this one takes none: "), "{text}");
        }
        let text = of(&[argument::<OrderCreated>(), argument::<OrderEvent>()]).unwrap();
        assert!(text.starts_with("a handler takes one event, this one takes two: "), "{text}");
    }

    #[test]
    fn a_name_is_one_of_the_arguments_events() {
        let of = |subscribed: &'static str, events| said(move || name(subscribed, events));
        assert_eq!(of("order_created", OrderCreated::EVENTS), None);
        assert_eq!(of("order_cancelled", OrderEvent::EVENTS), None);
        assert_eq!(of("anything", AnyEvent::EVENTS), None);
        assert_eq!(of("order.*", AnyEvent::EVENTS), None);
        assert_eq!(
            of("order_paid", OrderEvent::EVENTS).as_deref(),
            Some(
                "subscribed to `order_paid`, but the argument takes `order_created`, `order_cancelled`: correct the name here or the argument's type"
            )
        );
        assert_eq!(
            of("order.*", OrderCreated::EVENTS).as_deref(),
            Some(
                "`order.*` is a pattern, but the argument takes only `order_created`: take `AnyEvent`, or name the events"
            )
        );
    }

    #[test]
    fn all_events_of_the_argument_are_named() {
        let of = |names: &'static [&'static str], events| said(move || all(names, events));
        assert_eq!(of(&["order_cancelled", "order_created"], OrderEvent::EVENTS), None);
        assert_eq!(of(&["#"], AnyEvent::EVENTS), None);
        assert_eq!(
            of(&["order_created"], OrderEvent::EVENTS).as_deref(),
            Some(
                "the argument can be `order_cancelled`, which is not subscribed to: add the name here, or take it out of the set"
            )
        );
    }

    #[test]
    fn the_events_of_a_set_have_different_names() {
        const TWICE: &[EventType] =
            &[EventType::of::<OrderCreated>(), EventType::of::<OrderCancelled>(), EventType::of::<OrderCreated>()];
        assert_eq!(said(|| distinct(TWICE, 1)), None);
        assert_eq!(
            said(|| distinct(TWICE, 2)).as_deref(),
            Some("the set holds `order_created` already: a received event of that name could be either, keep one")
        );
    }

    #[test]
    fn a_message_that_is_too_long_is_cut() {
        const LONG: &str = {
            const BYTES: [u8; 2000] = [b'a'; 2000];
            match std::str::from_utf8(&BYTES) {
                Ok(text) => text,
                Err(_) => "",
            }
        };
        let text = said(|| name(LONG, OrderCreated::EVENTS)).unwrap();
        assert_eq!(text.len(), 1024);
    }
}
