//! One exchange: its bindings, and which of them a message takes.

use std::{ops::Deref, sync::Arc};

use super::letter::Letter;
use crate::{
    envelope::{HeaderValue, Headers},
    topology::{Argument, Arguments, Binding, Destination, ExchangeKind, topic},
};

/// The argument that names where a message goes that no binding takes.
pub(super) const ALTERNATE: &str = "alternate-exchange";
/// The argument of a binding that says how many of its others a message must have.
pub(super) const MATCH: &str = "x-match";

/// An exchange, durable as all are here.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) kind: ExchangeKind,
    pub(super) arguments: Arguments,
    /// In the order in which they were made.
    bindings: Vec<Bound>,
}

/// A binding of the exchange that it is kept with.
#[derive(Debug)]
struct Bound {
    to: To,
    key: String,
    /// The words of a topic exchange's key that holds `*` or `#`; any other takes what equals it.
    words: Vec<String>,
    arguments: Arguments,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    Queue(Arc<str>),
    Exchange(Arc<str>),
}

impl To {
    pub(super) fn new(destination: &Destination) -> Self {
        match destination {
            Destination::Queue(name) => Self::Queue(name.as_str().into()),
            Destination::Exchange(name) => Self::Exchange(name.as_str().into()),
        }
    }
}

impl Exchange {
    pub(super) fn new(kind: ExchangeKind, arguments: Arguments) -> Self {
        Self { kind, arguments, bindings: Vec::new() }
    }

    /// Adds a binding, unless the same is there.
    pub(super) fn bind(&mut self, binding: &Binding) {
        if self.position(binding).is_some() {
            return;
        }
        let words = match self.kind {
            ExchangeKind::Topic if binding.routing_key.contains(['*', '#']) => {
                topic::words(&binding.routing_key).into_iter().map(str::to_owned).collect()
            }
            _ => Vec::new(),
        };
        self.bindings.push(Bound {
            to: To::new(&binding.destination),
            key: binding.routing_key.clone(),
            words,
            arguments: binding.arguments.clone(),
        });
    }

    pub(super) fn has(&self, binding: &Binding) -> bool {
        self.position(binding).is_some()
    }

    pub(super) fn unbind(&mut self, binding: &Binding) {
        if let Some(position) = self.position(binding) {
            self.bindings.remove(position);
        }
    }

    /// Removes the bindings to what is gone.
    pub(super) fn forget(&mut self, gone: &To) {
        self.bindings.retain(|bound| bound.to != *gone);
    }

    /// Where the letter goes, a destination once for each binding that takes it. `keys` are the words of its routing keys, if
    /// they are looked at.
    pub(super) fn destinations<'a>(
        &'a self,
        letter: &'a Letter,
        keys: &'a impl Deref<Target = Vec<Vec<&'a str>>>,
    ) -> impl Iterator<Item = &'a To> {
        self.bindings.iter().filter(|bound| self.takes(bound, letter, keys)).map(|bound| &bound.to)
    }

    /// Where the letter goes that has no other way.
    pub(super) fn alternate(&self) -> Option<&str> {
        match self.arguments.get(ALTERNATE) {
            Some(Argument::Text(name)) => Some(name),
            _ => None,
        }
    }

    fn takes<'a>(&self, bound: &Bound, letter: &Letter, keys: &impl Deref<Target = Vec<Vec<&'a str>>>) -> bool {
        match self.kind {
            ExchangeKind::Topic if !bound.words.is_empty() => keys.iter().any(|key| topic::matches(&bound.words, key)),
            ExchangeKind::Topic | ExchangeKind::Direct => letter.routing_keys().any(|key| *key == bound.key),
            ExchangeKind::Fanout => true,
            ExchangeKind::Headers => headers_match(&bound.arguments, letter.headers()),
        }
    }

    fn position(&self, binding: &Binding) -> Option<usize> {
        let to = To::new(&binding.destination);
        self.bindings.iter().position(|bound| {
            bound.to == to && bound.key == binding.routing_key && bound.arguments == binding.arguments
        })
    }
}

/// Whether a message has all of a binding's arguments among its headers, or any of them. Arguments whose names begin with
/// `x-` count only where `x-match` says so. `all` of none is true, `any` of none is not.
fn headers_match(arguments: &Arguments, headers: &Headers) -> bool {
    let mode = match arguments.get(MATCH) {
        Some(Argument::Text(mode)) => mode.as_str(),
        _ => "all",
    };
    let with_x = mode.ends_with("-with-x");
    let counts = |name: &str| name != MATCH && (with_x || !name.starts_with("x-"));
    let mut matches = arguments
        .iter()
        .filter(|(name, _)| counts(name))
        .map(|(name, wanted)| headers.get(name).is_some_and(|given| equal(wanted, given)));
    if mode.starts_with("any") { matches.any(|matched| matched) } else { matches.all(|matched| matched) }
}

/// Whether a header has the value that a binding wants; whole numbers of any width are equal.
fn equal(wanted: &Argument, given: &HeaderValue) -> bool {
    match wanted {
        Argument::Text(text) => matches!(given, HeaderValue::Text(bytes) if bytes == text.as_bytes()),
        Argument::Integer(number) => given.as_integer() == Some(*number),
        Argument::Bool(value) => *given == HeaderValue::Bool(*value),
    }
}
