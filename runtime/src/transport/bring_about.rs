//! How a topology is brought about, whatever the broker: one object after the other, and no refusal keeps the rest away.

use super::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, TransportError};
use crate::topology::{Argument, Arguments, Binding, Destination, Exchange, Queue, QueueType, Topology, TopologyMode};

/// How long a queue of a connection's own lives without a consumer, in ms.
const UNUSED_MS: i64 = 60_000;

/// What a broker can be asked for, one at a time.
pub(super) trait Objects: Send {
    fn exchange(
        &mut self,
        exchange: &Exchange,
        passive: bool,
    ) -> impl Future<Output = Result<(), TransportError>> + Send;

    fn queue(&mut self, queue: &Queue, passive: bool) -> impl Future<Output = Result<(), TransportError>> + Send;

    /// A queue of the connection's own, which goes with its consumer; gives its name.
    fn own_queue(&mut self, arguments: &Arguments) -> impl Future<Output = Result<String, TransportError>> + Send;

    fn bind(&mut self, binding: &Binding) -> impl Future<Output = Result<(), TransportError>> + Send;
}

/// See [`Connection::declare`](super::Connection::declare).
pub(super) async fn declare(
    objects: &mut impl Objects,
    topology: &Topology,
    mode: TopologyMode,
) -> Result<(), TransportError> {
    if mode == TopologyMode::Assume {
        return Ok(());
    }
    // What is refused is no reason to leave out the rest: a queue may be gone, too.
    let mut refused = None;
    let mut note = |answer: Result<(), TransportError>| match answer {
        // Some refusals end the connection.
        Err(lost @ TransportError::Lost { .. }) => Err(refused.take().unwrap_or(lost)),
        Err(error) => {
            refused.get_or_insert(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    };
    for exchange in &topology.exchanges {
        let answer = bring_about(objects, exchange, mode).await;
        note(explained(answer, &format!("exchange `{}`", exchange.name)))?;
    }
    for queue in &topology.queues {
        let passive = mode == TopologyMode::Verify || queue.kind == QueueType::Existing;
        let answer = objects.queue(queue, passive).await;
        note(explained(answer, &format!("queue `{}`", queue.name)))?;
    }
    // AMQP has no way to ask for a binding.
    if mode == TopologyMode::Declare {
        for binding in &topology.bindings {
            note(bind(objects, binding).await)?;
        }
    }
    refused.map_or(Ok(()), Err)
}

/// See [`Connection::declare_exclusive`](super::Connection::declare_exclusive).
pub(super) async fn exclusive(objects: &mut impl Objects, bindings: &[Binding]) -> Result<String, TransportError> {
    // It goes with its consumer, so that none fills unread when only the channel was lost; or if it never gets one.
    let arguments = Arguments::from([("x-expires".to_owned(), Argument::Integer(UNUSED_MS))]);
    let queue = objects.own_queue(&arguments).await?;
    for binding in bindings {
        bind(objects, &Binding { destination: Destination::Queue(queue.clone()), ..binding.clone() }).await?;
    }
    Ok(queue)
}

/// An exchange that the user names is taken as it is, if it is there.
async fn bring_about(
    objects: &mut impl Objects,
    exchange: &Exchange,
    mode: TopologyMode,
) -> Result<(), TransportError> {
    if mode == TopologyMode::Verify || exchange.joined {
        match objects.exchange(exchange, true).await {
            Err(TransportError::Refused { code: NOT_FOUND, .. }) if mode == TopologyMode::Declare => {}
            answer => return answer,
        }
    }
    objects.exchange(exchange, false).await
}

async fn bind(objects: &mut impl Objects, binding: &Binding) -> Result<(), TransportError> {
    let what = format!("binding of `{}` to exchange `{}`", binding.destination.name(), binding.source);
    explained(objects.bind(binding).await, &what)
}

/// Says in the error what it was about and what to do.
fn explained(answer: Result<(), TransportError>, what: &str) -> Result<(), TransportError> {
    answer.map_err(|error| match error {
        TransportError::Refused { code, text } => {
            let cure = match code {
                PRECONDITION_FAILED => {
                    "it is there with other arguments than the plan's. Give the plan's object another name, or remove the old one when it is empty and start again"
                }
                NOT_FOUND => "it is not there. Create it, or start once with TopologyMode::Declare",
                ACCESS_REFUSED => {
                    "the user may not configure it. Grant the permission, or have it declared by another user and start with TopologyMode::Verify"
                }
                _ => "see RabbitMQ's log",
            };
            TransportError::Refused { code, text: format!("{what}: {text} — {cure}") }
        }
        other => other,
    })
}
