//! How far a migration is, by what is there.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::holding::Holding;
use crate::{
    topology::{
        Difference, Queue,
        compare::refusal::{self, Unequal},
    },
    transport::{Connection, NOT_FOUND, PRECONDITION_FAILED, TransportError, Usage},
};

/// How far a migration is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "found", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Found {
    /// The queue is as planned.
    AsPlanned,
    /// There is no such queue.
    Missing,
    /// The queue is to be migrated.
    Differs {
        /// The first argument that differs; AMQP tells no other.
        field: String,
        /// What the plan says.
        #[serde(skip_serializing_if = "Option::is_none")]
        ours: Option<Value>,
        /// What is there.
        #[serde(skip_serializing_if = "Option::is_none")]
        theirs: Option<Value>,
    },
    /// A later rabbitry made the queue.
    Later,
    /// A migration was begun, and is to be gone on with.
    Begun {
        /// Whether the work queue has not been deleted yet.
        differs: bool,
    },
}

impl Found {
    /// Whether there is something to do.
    #[must_use]
    pub fn is_to_be_migrated(&self) -> bool {
        matches!(self, Self::Differs { .. } | Self::Begun { .. })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| match value {
            Some(Value::String(text)) => format!("`{text}`"),
            Some(Value::Null) => "something else".to_owned(),
            Some(value) => format!("`{value}`"),
            None => "not set".to_owned(),
        };
        match self {
            Self::AsPlanned => f.write_str("is as planned"),
            Self::Missing => f.write_str("is not there: `topology declare` makes it"),
            Self::Differs { field, ours, theirs } => {
                write!(f, "differs: {field} is {}, the plan has {}", shown(theirs), shown(ours))
            }
            Self::Later => f.write_str("was made by a later rabbitry: leave it"),
            Self::Begun { .. } => f.write_str("was begun to be migrated"),
        }
    }
}

pub(super) async fn look(
    connection: &dyn Connection,
    queue: &Queue,
    holding: &Holding,
) -> Result<Found, TransportError> {
    let begun = usage(connection, &holding.queue).await?.is_some();
    if usage(connection, &queue.name).await?.is_none() {
        return Ok(if begun { Found::Begun { differs: false } } else { Found::Missing });
    }
    Ok(match unequal(connection, queue).await? {
        None if begun => Found::Begun { differs: false },
        None => Found::AsPlanned,
        Some(Unequal { theirs, .. }) if Difference::of_later(queue, theirs.as_ref()).is_some() => Found::Later,
        Some(_) if begun => Found::Begun { differs: true },
        Some(Unequal { field, theirs }) => {
            let ours = queue.arguments.get(&field).map(Value::from);
            Found::Differs { field, ours, theirs }
        }
    })
}

/// How a queue is used; `None` if it is not there.
pub(super) async fn usage(connection: &dyn Connection, queue: &str) -> Result<Option<Usage>, TransportError> {
    match connection.usage(queue).await {
        Ok(usage) => Ok(Some(usage)),
        Err(TransportError::Refused { code: NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first thing in which a queue that is there differs from this one. Nothing is created by asking.
pub(super) async fn unequal(connection: &dyn Connection, queue: &Queue) -> Result<Option<Unequal>, TransportError> {
    match connection.declare(&refusal::question(queue), crate::TopologyMode::Declare).await {
        Ok(()) => Ok(None),
        Err(TransportError::Refused { code: PRECONDITION_FAILED, text }) => match refusal::unequal(&text) {
            Some(unequal) => Ok(Some(unequal)),
            // It was deleted since it was looked for.
            None => Err(TransportError::Refused { code: NOT_FOUND, text }),
        },
        Err(error) => Err(error),
    }
}
