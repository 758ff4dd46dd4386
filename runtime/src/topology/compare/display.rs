//! A comparison as text.

use std::fmt;

use serde_json::Value;

use super::{Comparison, Difference, Object, PolicyInTheWay};
use crate::topology::{Binding, Destination};

impl Difference {
    /// What to do about it.
    #[must_use]
    pub fn cure(&self) -> String {
        match self {
            Self::Missing { .. } | Self::MissingBinding { .. } => {
                "create it: `Service::declare`, or start with TopologyMode::Declare".to_owned()
            }
            Self::Unequal { .. } if !self.breaks() => {
                "it changes no promise and may stay, but where RabbitMQ compares it, it refuses the plan to TopologyMode::Declare: then use Verify".to_owned()
            }
            Self::Unequal { object: Object::Exchange(_), .. } => {
                "the exchange cannot be changed: give the plan another exchange, or delete this one when nothing publishes to it, and declare".to_owned()
            }
            Self::Unequal { object: Object::Queue(_), .. } => {
                "a queue cannot be changed: move its messages to a new one, or delete it when it is empty, and declare".to_owned()
            }
            Self::StaleBinding { retries: false, .. } => {
                "remove it, or the handler goes on getting events that it does not subscribe to".to_owned()
            }
            Self::StaleBinding { retries: true, .. } => {
                "retries that wait in that ladder come back by it: remove it when they have come, after the longest delay of the old settings".to_owned()
            }
            Self::StaleQueue { consumers: 1.., .. } => {
                "something consumes it: give the program that does another service name, or stop it; then as for one without consumers".to_owned()
            }
            Self::StaleQueue { .. } => {
                "remove its bindings, handle or move its messages (a handler of the old name does), and delete it when it is empty".to_owned()
            }
            Self::Policy(policy) => policy.cure(),
        }
    }
}

impl PolicyInTheWay {
    /// What to do about it.
    #[must_use]
    pub fn cure(&self) -> String {
        let kind = if self.operator { "operator policy" } else { "policy" };
        format!("take `{}` out of {kind} `{}`, or have its pattern leave {} out", self.key, self.policy, self.object)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.differences.is_empty() {
            writeln!(f, "no differences")?;
        }
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
            writeln!(f, "  → {}", difference.cure())?;
        }
        for unchecked in &self.unchecked {
            writeln!(f, "not checked: {unchecked}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { object } => write!(f, "{object} is missing"),
            Self::MissingBinding { binding } => write!(f, "{} is missing", Told(binding)),
            Self::Unequal { object, field, ours, theirs } => {
                write!(f, "{object}: {field} is {}, ", Shown(theirs.as_ref()))?;
                match ours {
                    Some(_) => write!(f, "the plan has {}", Shown(ours.as_ref())),
                    None => f.write_str("the plan does not set it"),
                }
            }
            Self::StaleBinding { binding, .. } => write!(f, "{} is not in the plan", Told(binding)),
            Self::StaleQueue { queue, messages, consumers, bindings } => {
                let messages = messages.map_or_else(|| "not counted".to_owned(), |messages| messages.to_string());
                write!(f, "queue `{queue}` is not in the plan (messages: {messages}, consumers: {consumers}")?;
                for binding in bindings {
                    write!(f, "; bound to `{}` by `{}`", binding.source, binding.routing_key)?;
                }
                f.write_str(")")
            }
            Self::Policy(policy) => {
                let kind = if policy.operator { "operator policy" } else { "policy" };
                let (object, name, key) = (&policy.object, &policy.policy, &policy.key);
                write!(f, "{object}: {kind} `{name}` sets {key} to {}: {}", Shown(Some(&policy.value)), policy.effect)
            }
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(name) => write!(f, "exchange `{name}`"),
            Self::Queue(name) => write!(f, "queue `{name}`"),
        }
    }
}

/// A binding in a sentence.
struct Told<'a>(&'a Binding);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(binding) = self;
        let kind = match binding.destination {
            Destination::Queue(_) => "queue",
            Destination::Exchange(_) => "exchange",
        };
        let (name, source, key) = (binding.destination.name(), &binding.source, &binding.routing_key);
        write!(f, "binding of {kind} `{name}` to exchange `{source}` by `{key}`")?;
        for (name, value) in &binding.arguments {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// A value that may not be there.
struct Shown<'a>(Option<&'a Value>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Value::Null) => f.write_str("something else"),
            Some(Value::String(text)) => write!(f, "`{text}`"),
            Some(value) => write!(f, "`{value}`"),
            None => f.write_str("not set"),
        }
    }
}
