//! How a topology is brought about, whatever the broker: one object after the other, and no refusal keeps the rest away.

use super::{ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, TransportError};
use crate::topology::{
    Argument, Arguments, Binding, Destination, Exchange, PlanVersion, Queue, QueueType, Topology, TopologyMode,
};

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
    // What is refused or away is no reason to leave out the rest: a queue may be gone, too.
    let (mut refused, mut away) = (None, None);
    let mut note = |answer: Result<(), TransportError>| match answer {
        // Some refusals end the connection.
        Err(lost @ TransportError::Lost { .. }) => Err(refused.take().unwrap_or(lost)),
        Err(error @ TransportError::Away { .. }) => {
            away.get_or_insert(error);
            Ok(())
        }
        Err(error) => {
            refused.get_or_insert(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    };
    for exchange in &topology.exchanges {
        let answer = bring_about(objects, exchange, mode).await;
        note(explained(answer, &format!("exchange `{}`", exchange.name), otherwise))?;
    }
    for queue in &topology.queues {
        let passive = mode == TopologyMode::Verify || queue.kind == QueueType::Existing;
        let answer = if passive { objects.queue(queue, true).await } else { make(objects, queue, topology).await };
        note(explained(answer, &format!("queue `{}`", queue.name), || differs(queue, topology)))?;
    }
    // AMQP has no way to ask for a binding.
    if mode == TopologyMode::Declare {
        for binding in &topology.bindings {
            note(bind(objects, binding).await)?;
        }
    }
    refused.or(away).map_or(Ok(()), Err)
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

/// Makes a queue. One that a service of an earlier or a later version of the plan made is taken as it is: no deploy ends in
/// a 406.
async fn make(objects: &mut impl Objects, queue: &Queue, topology: &Topology) -> Result<(), TransportError> {
    let Err(refused) = objects.queue(queue, false).await else { return Ok(()) };
    let TransportError::Refused { code: PRECONDITION_FAILED, text } = &refused else { return Err(refused) };
    for former in topology.former_queues(&queue.name) {
        match objects.queue(former, false).await {
            Ok(()) => {
                tracing::info!(
                    queue = queue.name,
                    "the queue has the arguments of an earlier rabbitry and is taken as it is; `topology migrate` gives it those of this one"
                );
                return Ok(());
            }
            Err(TransportError::Refused { code: PRECONDITION_FAILED, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if topology.is_work_queue(&queue.name)
        && let Some(version) = PlanVersion::later_by_refusal(&queue.arguments, text)
    {
        tracing::info!(queue = queue.name, plan = %version, "the queue was made by a later rabbitry and is taken as it is");
        return Ok(());
    }
    Err(refused)
}

async fn bind(objects: &mut impl Objects, binding: &Binding) -> Result<(), TransportError> {
    let what = format!("binding of `{}` to exchange `{}`", binding.destination.name(), binding.source);
    explained(objects.bind(binding).await, &what, otherwise)
}

/// What to do about something that is there with other arguments.
fn otherwise() -> String {
    "it is there with other arguments than the plan's. Give the plan's object another name, or remove the old one when it is empty and start again".to_owned()
}

/// The same of a queue.
fn differs(queue: &Queue, topology: &Topology) -> String {
    if !topology.is_work_queue(&queue.name) {
        return otherwise();
    }
    let name = &queue.name;
    format!(
        "it is there with other arguments than the plan's. `topology migrate {name}` of the service's command line moves its messages to a queue with the plan's; or give the handler's queue another name"
    )
}

/// Says in the error what it was about and what to do; `differs` is what to do about a 406.
fn explained(
    answer: Result<(), TransportError>,
    what: &str,
    differs: impl FnOnce() -> String,
) -> Result<(), TransportError> {
    answer.map_err(|error| match error {
        TransportError::Refused { code, text } => {
            let cure = match code {
                // Others tell of limits.
                PRECONDITION_FAILED if text.contains("inequivalent") => &differs(),
                NOT_FOUND => "it is not there. Create it, or start once with TopologyMode::Declare",
                ACCESS_REFUSED => {
                    "the user may not configure it. Grant the permission, or have it declared by another user and start with TopologyMode::Verify"
                }
                _ => "see RabbitMQ's log",
            };
            TransportError::Refused { code, text: format!("{what}: {text} — {cure}") }
        }
        TransportError::Away { reason } => TransportError::Away { reason: format!("{what}: {reason}") },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Answers as it is told for some names, and notes what it was asked for.
    #[derive(Default)]
    struct Told {
        answers: Vec<(&'static str, TransportError)>,
        asked: Vec<String>,
    }

    impl Told {
        fn answer(&mut self, name: &str) -> Result<(), TransportError> {
            self.asked.push(name.to_owned());
            let answer = self.answers.iter().find(|(of, _)| *of == name);
            answer.map_or(Ok(()), |(_, error)| Err(error.clone()))
        }
    }

    impl Objects for Told {
        async fn exchange(&mut self, exchange: &Exchange, _: bool) -> Result<(), TransportError> {
            self.answer(&exchange.name)
        }

        async fn queue(&mut self, queue: &Queue, _: bool) -> Result<(), TransportError> {
            self.answer(&queue.name)
        }

        async fn own_queue(&mut self, _: &Arguments) -> Result<String, TransportError> {
            Ok("own".to_owned())
        }

        async fn bind(&mut self, binding: &Binding) -> Result<(), TransportError> {
            self.answer(&format!("to {}", binding.destination.name()))
        }
    }

    fn away() -> TransportError {
        TransportError::Away { reason: "its node is down".to_owned() }
    }

    fn refused() -> TransportError {
        TransportError::Refused { code: ACCESS_REFUSED, text: "no".to_owned() }
    }

    /// What it comes to, and what was asked for.
    fn declared(answers: Vec<(&'static str, TransportError)>) -> (Result<(), TransportError>, String) {
        let mut topology = Topology::default();
        for name in ["a", "b"] {
            topology.queues.push(Queue::named(name, QueueType::Classic, Arguments::new()));
            topology.bindings.push(Binding::new("events", Destination::Queue(name.to_owned()), "order"));
        }
        let mut told = Told { answers, asked: Vec::new() };
        let declared = declare(&mut told, &topology, TopologyMode::Declare).now_or_never().unwrap();
        (declared, told.asked.join(", "))
    }

    #[test]
    fn what_is_away_keeps_nothing_else_from_being_declared() {
        let all = "a, b, to a, to b";
        let (away_only, asked) = declared(vec![("a", away())]);
        assert_eq!(asked, all);
        assert_eq!(away_only, Err(TransportError::Away { reason: "queue `a`: its node is down".to_owned() }));
        // Waiting cures no refusal.
        let (both, asked) = declared(vec![("a", away()), ("b", refused()), ("to a", away())]);
        assert_eq!(asked, all);
        assert!(matches!(both, Err(TransportError::Refused { code: ACCESS_REFUSED, .. })), "{both:?}");
    }

    #[test]
    fn on_a_lost_connection_nothing_more_is_asked() {
        let (lost, asked) = declared(vec![("b", TransportError::lost("gone"))]);
        assert_eq!((lost, &*asked), (Err(TransportError::lost("gone")), "a, b"));
    }
}
