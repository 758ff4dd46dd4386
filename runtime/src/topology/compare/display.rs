//! A comparison as text.

use std::fmt;

use serde_json::Value;

use super::{Comparison, Difference, Object, PolicyInTheWay};
use crate::topology::{Binding, Destination, holding_queue};

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
                "a queue cannot be changed: `topology migrate` moves a handler's messages to a new one; any other is deleted when it is empty, and declared".to_owned()
            }
            Self::OtherVersion { later: true, .. } => "leave it: it works as it is".to_owned(),
            Self::OtherVersion { queue, .. } => {
                format!("it works as it is; `topology migrate {queue}` gives it the plan's arguments once no service of the earlier version is to come back")
            }
            Self::Migrating { queue, .. } => {
                format!("events wait in its holding queue, and more come: `topology migrate {queue}` goes on with it")
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
            Self::OtherVersion { queue, version, later } => {
                let when = if *later { "a later" } else { "an earlier" };
                write!(f, "queue `{queue}` was made by {when} rabbitry, whose plans are v{version}")
            }
            Self::Migrating { queue, messages } => {
                write!(
                    f,
                    "queue `{queue}` is being migrated (messages in `{}`: {})",
                    holding_queue(queue),
                    Counted(*messages)
                )
            }
            Self::StaleBinding { binding, .. } => write!(f, "{} is not in the plan", Told(binding)),
            Self::StaleQueue { queue, messages, consumers, bindings } => {
                let messages = Counted(*messages);
                write!(f, "queue `{queue}` is not in the plan (messages: {messages}, consumers: {consumers}")?;
                for binding in bindings {
                    write!(f, "; bound to `{}` by `{}`", binding.source, binding.routing_key)?;
                }
                f.write_str(")")
            }
            Self::Policy(policy) => policy.fmt(f),
        }
    }
}

impl fmt::Display for PolicyInTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.operator { "operator policy" } else { "policy" };
        let Self { object, policy, key, value, effect, .. } = self;
        write!(f, "{object}: {kind} `{policy}` sets {key} to {}: {effect}", Shown(Some(value)))
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

/// A number of messages that may not be known yet.
struct Counted(Option<u64>);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(messages) => write!(f, "{messages}"),
            None => f.write_str("not counted"),
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
