//! A plan as text.

use std::fmt;

use super::{Argument, Arguments, Binding, Destination, ExchangeKind, QueueType, Topology};

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exchanges")?;
        for exchange in &self.exchanges {
            writeln!(f, "  {} {}{}", exchange.name, exchange.kind, Listed(&exchange.arguments))?;
        }
        writeln!(f, "queues")?;
        for queue in &self.queues {
            writeln!(f, "  {} {}{}", queue.name, queue.kind, Listed(&queue.arguments))?;
        }
        writeln!(f, "bindings")?;
        for binding in &self.bindings {
            writeln!(f, "  {binding}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.destination {
            Destination::Queue(_) => "queue",
            Destination::Exchange(_) => "exchange",
        };
        let (source, name, key) = (&self.source, self.destination.name(), &self.routing_key);
        write!(f, "{source} → {kind} {name} by `{key}`{}", Listed(&self.arguments))
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Headers => "headers",
        })
    }
}

impl fmt::Display for QueueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
            Self::Existing => "existing",
        })
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
        }
    }
}

/// Arguments behind a name, the type of a queue left out: it stands there already.
struct Listed<'a>(&'a Arguments);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0.iter().filter(|(name, _)| *name != "x-queue-type") {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}
