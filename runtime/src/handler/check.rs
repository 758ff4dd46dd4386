//! What `#[subscribe]` has the compiler check: that the names it was given fit the types of the function.
//!
//! The macro writes calls of these functions into a `const`, so a mistake is a compile error at the user's literal.

use std::{borrow::Cow, future::Future};

use super::{Argument, Outcome, Takes};
use crate::event::{EventType, Events};

/// Panics, at compile time, unless exactly one of the arguments takes an event and its events are those of `names`.
///
/// ```compile_fail
/// use rabbitry::{event, handler::{Argument, check::names}};
///
/// #[event("order_created")]
/// pub struct OrderCreated {}
///
/// const _: () = names(&["order_cancelled"], &[<OrderCreated as Argument>::TAKES]);
/// ```
pub const fn names(names: &[&str], arguments: &[Takes]) {
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
        Some(Events::Any) => {}
        Some(Events::Of(events)) => fits(names, events),
    }
}

const fn fits(names: &[&str], events: &[EventType]) {
    let mut i = 0;
    while i < names.len() {
        if is_pattern(names[i]) {
            Text::new()
                .and("`")
                .and(names[i])
                .and("` is a pattern, but the argument takes only ")
                .and_all(events)
                .and(": take `AnyEvent`, or name the events")
                .panic();
        }
        if !holds(events, names[i]) {
            Text::new()
                .and("subscribed to `")
                .and(names[i])
                .and("`, but the argument takes ")
                .and_all(events)
                .and(": correct the name here or the argument's type")
                .panic();
        }
        i += 1;
    }
    let mut i = 0;
    while i < events.len() {
        if !contains(names, name(&events[i])) {
            Text::new()
                .and("the argument can be `")
                .and(name(&events[i]))
                .and("`, which is not subscribed to: add the name here, or take it out of the set")
                .panic();
        }
        i += 1;
    }
}

/// Whether a handler's future can move between threads, and its outcome can be published.
pub fn future<O: Outcome>(_: impl Future<Output = O> + Send) {}

/// Whether it can be an argument of a handler, and what it takes.
#[must_use]
pub const fn argument<A: Argument>() -> Takes {
    A::TAKES
}

/// Whether the return value of a blocking handler can be published.
pub const fn outcome<O: Outcome>() {}

const fn name(event: &EventType) -> &str {
    match &event.name {
        Cow::Borrowed(name) => name,
        // A set's events are constants, and a constant cannot own a text.
        Cow::Owned(_) => "",
    }
}

const fn holds(events: &[EventType], wanted: &str) -> bool {
    let mut i = 0;
    while i < events.len() {
        if equal(name(&events[i]), wanted) {
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
            self = self.and(if i == 0 { "`" } else { ", `" }).and(name(&events[i])).and("`");
            i += 1;
        }
        self
    }

    const fn panic(&self) -> ! {
        let (text, _) = self.bytes.split_at(self.len);
        match std::str::from_utf8(text) {
            Ok(text) => panic!("{}", text),
            // Cut at 1 KiB, in the middle of a letter.
            Err(_) => panic!("the names do not fit the argument's events"),
        }
    }
}
