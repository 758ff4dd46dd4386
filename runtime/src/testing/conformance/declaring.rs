//! How a topology is brought about: what is missing is made, what is there is left alone or refused.

use super::{
    Harness,
    checks::{assert_ids, assert_refused, message, numbered, numbers, to},
    plan::{Plan, arguments},
    session::Session,
};
use crate::{
    topology::{Argument, Arguments, ExchangeKind, Queue, QueueType, Topology, TopologyMode},
    transport::{ConnectionState, TransportError},
};

fn whole() -> Topology {
    let plan = Plan::new().exchange("events", ExchangeKind::Topic).exchange("direct", ExchangeKind::Direct);
    let plan =
        plan.queue("work", QueueType::Quorum, &[("x-message-ttl", Argument::Integer(3_600_000))]).classic("plain");
    plan.bind("events", "work", "order.*").bind("events", "plain", "#").bind_exchange("direct", "events", "all").into()
}

async fn tried(session: &Session, topology: impl Into<Topology>, mode: TopologyMode) -> Result<(), TransportError> {
    let answer = session.try_declare(&topology.into(), mode).await;
    assert_eq!(session.connection.state(), ConnectionState::Open, "no answer costs the connection");
    answer
}

/// Declaring what is there already changes nothing, and keeps the messages.
pub async fn declaring_again_changes_nothing(harness: &impl Harness) {
    let session = Session::with(harness, whole()).await;
    session.publish(["order.1", "order.2"].map(|key| message("events", key, key))).await;
    session.declare(whole()).await;
    let other = Session::open(harness).await;
    other.declare(whole()).await;
    session.publish([message("direct", "all", "order.3")]).await;
    assert_ids("the quorum queue", &session.drain("work").await, ["order.1", "order.2"]);
    assert_ids("the classic queue", &session.drain("plain").await, ["order.1", "order.2", "order.3"]);
    session.close().await;
    other.close().await;
}

/// A queue or an exchange that is there with another type or other arguments is refused with 406, and stays as it is.
pub async fn unequal_objects_are_refused(harness: &impl Harness) {
    let session = Session::with(harness, whole()).await;
    let ttl = |milliseconds| [("x-message-ttl", Argument::Integer(milliseconds))];
    let alternate = [("alternate-exchange", Argument::from("direct"))];
    let unequal = [
        ("other arguments", Plan::new().queue("work", QueueType::Quorum, &ttl(1))),
        ("fewer arguments", Plan::new().queue("work", QueueType::Quorum, &[])),
        ("more arguments", Plan::new().queue("plain", QueueType::Classic, &ttl(1))),
        ("another type of queue", Plan::new().queue("work", QueueType::Classic, &ttl(3_600_000))),
        ("another type of exchange", Plan::new().exchange("events", ExchangeKind::Direct)),
        ("other arguments", Plan::new().exchange_with("events", ExchangeKind::Topic, &alternate)),
    ];
    for (what, plan) in unequal {
        assert_refused(what, tried(&session, plan, TopologyMode::Declare).await, 406);
    }
    session.declare(whole()).await;
    session.close().await;
}

/// [`Verify`](TopologyMode::Verify) finds what is missing (404) and makes nothing; what is there is fine by its name.
pub async fn verifying_makes_nothing(harness: &impl Harness) {
    let session = Session::open(harness).await;
    assert_refused("all is missing", tried(&session, whole(), TopologyMode::Verify).await, 404);
    session.declare(Plan::new().exchange("events", ExchangeKind::Topic).exchange("direct", ExchangeKind::Direct)).await;
    assert_refused("the queues are missing", tried(&session, whole(), TopologyMode::Verify).await, 404);
    session.declare(Plan::new().classic("work").classic("plain")).await;
    let verified = tried(&session, whole(), TopologyMode::Verify).await;
    assert_eq!(verified, Ok(()), "all is there by its name, if not by its type");
    let joined = Plan::new().joined("joined", ExchangeKind::Topic);
    assert_refused("a joined exchange is missing", tried(&session, joined, TopologyMode::Verify).await, 404);
    let unbound = session.sender().await.answer(&message("events", "order.1", "unbound"), true).await;
    assert!(matches!(unbound, Ok((_, Some(_)))), "nothing was bound, but the answer was {unbound:?}");
    session.close().await;
}

/// [`Assume`](TopologyMode::Assume) makes nothing and asks nothing.
pub async fn assuming_does_nothing(harness: &impl Harness) {
    let session = Session::open(harness).await;
    assert_eq!(tried(&session, whole(), TopologyMode::Assume).await, Ok(()));
    assert_refused("nothing was made", session.try_count("work").await, 404);
    session.close().await;
}

/// An existing queue is taken as it is, of whatever type and arguments, and bound; one that is missing is refused with 404
/// and not made.
pub async fn an_existing_queue_is_taken_as_it_is(harness: &impl Harness) {
    let session =
        Session::with(harness, Plan::new().queue("legacy", QueueType::Classic, &[("x-max-length", 9.into())])).await;
    session.publish(numbered("legacy", 0..3)).await;
    let existing = |name: &str| {
        let queue = Queue::named(name, QueueType::Existing, Arguments::new());
        Plan::new().exchange("events", ExchangeKind::Topic).bare_queue(queue).bind("events", name, "#")
    };
    session.declare(existing("legacy")).await;
    session.publish([message("events", "x", "3")]).await;
    assert_ids("what was there and what is bound", &session.take("legacy", 4).await, numbers(0..4));
    assert_refused("a missing one", tried(&session, existing("missing"), TopologyMode::Declare).await, 404);
    assert_refused("it is not made", session.try_count("missing").await, 404);
    session.close().await;
}

/// An exchange that the user named is taken as it is when it is there, of whatever type, and made when it is not.
pub async fn a_joined_exchange_is_taken_as_it_is(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().exchange("theirs", ExchangeKind::Fanout)).await;
    let plan = Plan::new().joined("theirs", ExchangeKind::Topic).joined("new", ExchangeKind::Topic);
    let plan = plan.classic("inbox").bind("theirs", "inbox", "a").bind("new", "inbox", "a");
    session.declare(plan.clone()).await;
    session.declare(plan).await;
    session.publish([message("theirs", "b", "by the fanout"), message("new", "a", "by the new one")]).await;
    let unbound = session.sender().await.answer(&message("new", "b", "lost"), true).await;
    assert!(matches!(unbound, Ok((_, Some(_)))), "the new one is a topic exchange, but the answer was {unbound:?}");
    assert_ids("both", &session.drain("inbox").await, ["by the fanout", "by the new one"]);
    session.close().await;
}

/// One refusal does not keep the rest from being made, and the first one is what is reported.
pub async fn a_refusal_does_not_stop_the_rest(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("taken").exchange("taken", ExchangeKind::Fanout)).await;
    let plan = Plan::new().exchange("taken", ExchangeKind::Topic).exchange("events", ExchangeKind::Topic);
    let existing = Queue::named("missing", QueueType::Existing, arguments(&[]));
    let plan = plan.queue("taken", QueueType::Quorum, &[]).bare_queue(existing).classic("after");
    let plan = plan.bind("events", "missing", "#").bind("missing", "after", "#").bind("events", "after", "#");
    let answer = tried(&session, plan, TopologyMode::Declare).await;
    assert_refused("an exchange of another type comes first", answer.clone(), 406);
    let text = answer.map_or_else(|error| error.to_string(), |()| String::new());
    assert!(text.contains("taken"), "the error names the object: {text}");
    session.publish([message("events", "x", "made all the same")]).await;
    assert_ids("the queue behind", &session.drain("after").await, ["made all the same"]);
    session.close().await;
}

/// A binding from an exchange or to a destination that is not there is refused with 404.
pub async fn a_binding_needs_both_ends(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("queue").exchange("exchange", ExchangeKind::Topic)).await;
    let dangling = [
        ("no exchange", Plan::new().bind("missing", "queue", "#")),
        ("no queue", Plan::new().bind("exchange", "missing", "#")),
        ("no exchange to go to", Plan::new().bind_exchange("exchange", "missing", "#")),
        ("no exchange to come from", Plan::new().bind_exchange("missing", "exchange", "#")),
    ];
    for (what, plan) in dangling {
        assert_refused(what, tried(&session, plan, TopologyMode::Declare).await, 404);
    }
    session.close().await;
}

/// Arguments that a type of queue cannot have are refused with 406, and those that the broker does not know are taken.
pub async fn impossible_arguments_are_refused(harness: &impl Harness) {
    let session = Session::open(harness).await;
    let strategy = ("x-dead-letter-strategy", Argument::from("at-least-once"));
    let impossible = [
        ("a priority queue of type quorum", QueueType::Quorum, ("x-max-priority", 5.into())),
        ("a limit of deliveries of a classic queue", QueueType::Classic, ("x-delivery-limit", 5.into())),
        ("at-least-once of a classic queue", QueueType::Classic, strategy),
        ("a negative time", QueueType::Classic, ("x-message-ttl", Argument::Integer(-1))),
        ("a length that is a text", QueueType::Quorum, ("x-max-length", Argument::from("many"))),
    ];
    for (what, kind, argument) in impossible {
        let plan = Plan::new().queue("impossible", kind, &[argument]);
        assert_refused(what, tried(&session, plan, TopologyMode::Declare).await, 406);
    }
    session.declare(Plan::new().queue("odd", QueueType::Quorum, &[("x-unknown", Argument::from("taken"))])).await;
    session.publish([to("odd", "works")]).await;
    session.close().await;
}
