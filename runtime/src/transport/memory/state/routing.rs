//! All exchanges, and the way of a message through them.

use std::{cell::LazyCell, collections::BTreeMap, sync::Arc};

use super::{
    arguments::assert_equal,
    exchange::{ALTERNATE, Exchange, MATCH, To},
    letter::Letter,
    refusal::{self, Refusal},
};
use crate::topology::{self, Argument, Arguments, Binding, ExchangeKind, topic};

/// The exchanges by name.
#[derive(Debug)]
pub(super) struct Exchanges(BTreeMap<Arc<str>, Exchange>);

impl Default for Exchanges {
    /// RabbitMQ's own. The default exchange has no bindings: its queues are found by their names.
    fn default() -> Self {
        let own = [
            ("", ExchangeKind::Direct),
            ("amq.direct", ExchangeKind::Direct),
            ("amq.topic", ExchangeKind::Topic),
            ("amq.fanout", ExchangeKind::Fanout),
            ("amq.headers", ExchangeKind::Headers),
            ("amq.match", ExchangeKind::Headers),
        ];
        Self(own.map(|(name, kind)| (name.into(), Exchange::new(kind, Arguments::new()))).into())
    }
}

impl Exchanges {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn declare(&mut self, declared: &topology::Exchange, passive: bool) -> Result<(), Refusal> {
        let name = declared.name.as_str();
        check_length(name)?;
        if name.is_empty() {
            return Err(Refusal::default_exchange());
        }
        let described = refusal::exchange(name);
        let Some(existing) = self.0.get(name) else {
            if passive {
                return Err(Refusal::no_exchange(name));
            }
            check_not_reserved("exchange", name)?;
            let kind = match declared.arguments.get(ALTERNATE) {
                Some(Argument::Integer(_)) => "long",
                Some(Argument::Bool(_)) => "bool",
                Some(Argument::Text(_)) | None => {
                    self.0.insert(name.into(), Exchange::new(declared.kind, declared.arguments.clone()));
                    return Ok(());
                }
            };
            let text = format!("invalid type '{kind}' for arg '{ALTERNATE}' in {described}");
            return Err(Refusal::precondition_failed(&text));
        };
        if passive {
            return Ok(());
        }
        let (kind, current) = (kind_name(declared.kind), kind_name(existing.kind));
        if kind != current {
            let text = format!("inequivalent arg 'type' for {described}: received '{kind}' but current is '{current}'");
            return Err(Refusal::precondition_failed(&text));
        }
        assert_equal(ALTERNATE, &described, declared.arguments.get(ALTERNATE), existing.arguments.get(ALTERNATE))
    }

    /// Removes an exchange and the bindings from it and to it; one that is not there is no mistake.
    pub(super) fn delete(&mut self, name: &str) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::default_exchange());
        }
        if name.starts_with("amq.") {
            let text = format!("deletion of system {} not allowed", refusal::exchange(name));
            return Err(Refusal::access_refused(&text));
        }
        self.0.remove(name);
        self.forget(&To::Exchange(name.into()));
        Ok(())
    }

    /// Binds what is known to exist.
    pub(super) fn bind(&mut self, binding: &Binding) -> Result<(), Refusal> {
        let source = self.0.get_mut(binding.source.as_str()).ok_or_else(|| Refusal::no_exchange(&binding.source))?;
        if source.kind == ExchangeKind::Headers {
            check_match(&binding.arguments)?;
        }
        source.bind(binding);
        Ok(())
    }

    pub(super) fn has(&self, binding: &Binding) -> bool {
        self.0.get(binding.source.as_str()).is_some_and(|source| source.has(binding))
    }

    /// Removes a binding; one that is not there is no mistake.
    pub(super) fn unbind(&mut self, binding: &Binding) {
        if let Some(source) = self.0.get_mut(binding.source.as_str()) {
            source.unbind(binding);
        }
    }

    /// Removes all bindings to what is gone.
    pub(super) fn forget(&mut self, gone: &To) {
        for exchange in self.0.values_mut() {
            exchange.forget(gone);
        }
    }

    /// The queues that a letter reaches by bindings, each once, sorted by name.
    pub(super) fn route(&self, letter: &Letter) -> Vec<Arc<str>> {
        let words = || letter.routing_keys().map(|key| topic::words(key)).collect();
        let keys = LazyCell::new(words);
        let mut queues = Vec::new();
        let (mut asked, mut next) = (vec![&*letter.exchange], 0);
        // Each exchange is asked once, so bindings in a circle end.
        while let Some(exchange) = asked.get(next).and_then(|name| self.0.get(*name)) {
            next += 1;
            let mut routed = false;
            for to in exchange.destinations(letter, &keys) {
                routed = true;
                match to {
                    To::Queue(name) => queues.push(Arc::clone(name)),
                    To::Exchange(name) if !asked.contains(&&**name) => asked.push(name),
                    To::Exchange(_) => {}
                }
            }
            if let (false, Some(alternate)) = (routed, exchange.alternate())
                && self.contains(alternate)
                && !asked.contains(&alternate)
            {
                asked.push(alternate);
            }
        }
        queues.sort_unstable();
        queues.dedup();
        queues
    }
}

pub(super) fn check_length(name: &str) -> Result<(), Refusal> {
    if name.len() > crate::envelope::message::SHORT_STRING { Err(Refusal::name_too_long()) } else { Ok(()) }
}

/// Refuses a name that RabbitMQ keeps for itself.
pub(super) fn check_not_reserved(kind: &str, name: &str) -> Result<(), Refusal> {
    if name.starts_with("amq.") {
        return Err(Refusal::access_refused(&format!("{kind} name '{name}' contains reserved prefix 'amq.*'")));
    }
    Ok(())
}

fn check_match(arguments: &Arguments) -> Result<(), Refusal> {
    let text = match arguments.get(MATCH) {
        None => return Ok(()),
        Some(Argument::Text(mode)) => match mode.as_str() {
            "all" | "any" | "all-with-x" | "any-with-x" => return Ok(()),
            other => {
                let expected = "expected all, any, all-with-x, or any-with-x";
                format!("Invalid x-match field value <<\"{other}\">>; {expected}")
            }
        },
        Some(Argument::Integer(number)) => {
            format!("Invalid x-match field type long (value {number}); expected longstr")
        }
        Some(Argument::Bool(value)) => format!("Invalid x-match field type bool (value {value}); expected longstr"),
    };
    Err(Refusal::precondition_failed(&text))
}

fn kind_name(kind: ExchangeKind) -> &'static str {
    match kind {
        ExchangeKind::Topic => "topic",
        ExchangeKind::Direct => "direct",
        ExchangeKind::Fanout => "fanout",
        ExchangeKind::Headers => "headers",
    }
}
