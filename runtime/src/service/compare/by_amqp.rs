//! What AMQP alone tells of what a broker has: whether it is there, and the first thing that differs.
//!
//! A passive declaration tells the one. For the other an active one is needed, and that would create what somebody has
//! deleted in between. So it is one that RabbitMQ would refuse to create anything by, but compares all the same: a queue
//! with an argument that only streams know, an exchange whose alternate exchange is no text.

use serde_json::Value;

use crate::{
    topology::{
        Argument, Arguments, Comparison, Difference, Exchange, Object, Queue, QueueType, Topology, TopologyMode,
        compare::refusal::{self, Unequal},
    },
    transport::{ACCESS_REFUSED, Connection, NOT_FOUND, PRECONDITION_FAILED, TransportError},
};

/// What keeps a queue that is no stream from being created, and is not compared.
const NO_QUEUE: (&str, &str) = ("x-max-age", "1s");
const ALTERNATE_EXCHANGE: &str = "alternate-exchange";
/// AMQP's code for a queue that belongs to another connection.
const RESOURCE_LOCKED: u16 = 405;

pub(super) async fn compare(connection: &dyn Connection, plan: &Topology) -> Result<Comparison, TransportError> {
    let mut found = Comparison::default();
    for exchange in &plan.exchanges {
        compare_exchange(connection, exchange, &mut found).await?;
    }
    for queue in &plan.queues {
        compare_queue(connection, queue, &mut found).await?;
    }
    let unchecked = [
        "bindings, missing and stale: AMQP cannot list them",
        "queues that a renamed or removed handler left: AMQP cannot list them",
        "policies: AMQP does not show them",
    ];
    found.unchecked.extend(unchecked.map(|what| format!("{what}; give `Service::management_url`")));
    Ok(found)
}

async fn compare_exchange(
    connection: &dyn Connection,
    exchange: &Exchange,
    found: &mut Comparison,
) -> Result<(), TransportError> {
    let object = Object::Exchange(exchange.name.clone());
    let of = |exchange: Exchange| Topology { exchanges: vec![exchange], ..Topology::default() };
    if !is_there(connection, &of(exchange.clone()), &object, found).await? || exchange.joined {
        return Ok(());
    }
    let mut asked = exchange.clone();
    asked.arguments.insert(ALTERNATE_EXCHANGE.to_owned(), Argument::Integer(1));
    let ours = |field: &str| match field {
        "type" => Some(Value::from(exchange.kind.to_string())),
        _ => ours(&exchange.arguments, field),
    };
    match ask(connection, &of(asked), &object, found).await? {
        // The one that we asked with wrongly.
        Some(Unequal { field, theirs }) if field == ALTERNATE_EXCHANGE => {
            let ours = ours(&field);
            if theirs != ours {
                found.differences.push(Difference::Unequal { object, field, ours, theirs });
            }
        }
        Some(Unequal { field, theirs }) => {
            let ours = ours(&field);
            found
                .unchecked
                .push(format!("arguments of {object} beyond its {field}: AMQP names the first that differs"));
            found.differences.push(Difference::Unequal { object, field, ours, theirs });
        }
        None => {}
    }
    Ok(())
}

async fn compare_queue(
    connection: &dyn Connection,
    queue: &Queue,
    found: &mut Comparison,
) -> Result<(), TransportError> {
    let object = Object::Queue(queue.name.clone());
    let of = |queue: Queue| Topology { queues: vec![queue], ..Topology::default() };
    if !is_there(connection, &of(queue.clone()), &object, found).await? || queue.kind == QueueType::Existing {
        return Ok(());
    }
    let mut asked = queue.clone();
    asked.arguments.insert(NO_QUEUE.0.to_owned(), Argument::from(NO_QUEUE.1));
    if let Some(Unequal { field, theirs }) = ask(connection, &of(asked), &object, found).await? {
        let ours = ours(&queue.arguments, &field);
        let field = if field == "x-queue-type" { "type".to_owned() } else { field };
        found.unchecked.push(format!("arguments of {object} beyond its {field}: AMQP names the first that differs"));
        found.differences.push(Difference::Unequal { object, field, ours, theirs });
    }
    Ok(())
}

/// What the plan says of a field.
fn ours(arguments: &Arguments, field: &str) -> Option<Value> {
    match field {
        "durable" => Some(true.into()),
        "auto_delete" | "internal" | "exclusive" => Some(false.into()),
        _ => arguments.get(field).map(Value::from),
    }
}

async fn is_there(
    connection: &dyn Connection,
    one: &Topology,
    object: &Object,
    found: &mut Comparison,
) -> Result<bool, TransportError> {
    match connection.declare(one, TopologyMode::Verify).await {
        Ok(()) => Ok(true),
        Err(TransportError::Refused { code: NOT_FOUND, .. }) => {
            found.differences.push(Difference::Missing { object: object.clone() });
            Ok(false)
        }
        Err(TransportError::Refused { code: RESOURCE_LOCKED, .. }) => {
            let (ours, theirs) = (Some(false.into()), Some(true.into()));
            let field = "exclusive".to_owned();
            found.differences.push(Difference::Unequal { object: object.clone(), field, ours, theirs });
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The first field that differs, if one does and the user may know.
async fn ask(
    connection: &dyn Connection,
    one: &Topology,
    object: &Object,
    found: &mut Comparison,
) -> Result<Option<Unequal>, TransportError> {
    match connection.declare(one, TopologyMode::Declare).await {
        Ok(()) => Ok(None),
        Err(TransportError::Refused { code: PRECONDITION_FAILED, text }) => {
            let unequal = refusal::unequal(&text);
            if unequal.is_none() {
                // It went in between, and was not created.
                found.differences.push(Difference::Missing { object: object.clone() });
            }
            Ok(unequal)
        }
        Err(TransportError::Refused { code: ACCESS_REFUSED, .. }) => {
            found.unchecked.push(format!("type and arguments of {object}: the user may not configure it"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
