//! What is taken off the broker: bindings, queues, exchanges; and what must be known before.

use super::{
    Harness,
    checks::{assert_ids, assert_refused, assert_same, ids, message, numbered, numbers, to},
    plan::{KINDS, Plan, arguments},
    session::{Session, eventually, within},
};
use crate::{
    topology::{Argument, Binding, Destination, ExchangeKind, QueueType},
    transport::{Confirmed, ConnectionState, Settlement, TransportError, Usage},
};

fn to_queue(source: &str, queue: &str, key: &str) -> Binding {
    Binding::new(source, Destination::Queue(queue.to_owned()), key)
}

async fn unbind(session: &Session, binding: &Binding) {
    let unbound = within("unbinding", session.connection.unbind(binding)).await;
    unbound.unwrap_or_else(|error| panic!("{binding:?} is removed, but: {error}"));
}

/// Fails if something is bound for a message.
async fn assert_unbound(session: &Session, exchange: &str, key: &str) {
    let answer = session.sender().await.answer(&message(exchange, key, "unbound"), true).await;
    assert!(matches!(answer, Ok((Confirmed::Ack, Some(_)))), "nothing is bound, but the answer was {answer:?}");
}

/// A binding that is removed leads nowhere any more, and the others of its exchange and of its queue stay.
pub async fn an_unbound_queue_gets_nothing_more(harness: &impl Harness) {
    let plan = Plan::new().exchange("events", ExchangeKind::Topic).classic("one").classic("two");
    let plan = plan.bind("events", "one", "a.*").bind("events", "one", "b").bind("events", "two", "a.*");
    let session = Session::with(harness, plan).await;
    unbind(&session, &to_queue("events", "one", "a.*")).await;
    session.publish([message("events", "a.x", "to two"), message("events", "b", "to one")]).await;
    assert_ids("by its other binding", &session.drain("one").await, ["to one"]);
    assert_ids("the other queue's", &session.drain("two").await, ["to two"]);
    unbind(&session, &to_queue("events", "two", "a.*")).await;
    assert_unbound(&session, "events", "a.x").await;
    session.close().await;
}

/// Of two bindings that differ in their arguments alone the one is removed that is meant.
pub async fn arguments_tell_bindings_apart(harness: &impl Harness) {
    let of = |kind: &str| [("x-match", Argument::from("all")), ("kind", Argument::from(kind))];
    let plan = Plan::new().exchange("by-header", ExchangeKind::Headers).classic("inbox");
    let plan = plan.bind_with("by-header", "inbox", "", &of("a")).bind_with("by-header", "inbox", "", &of("b"));
    let session = Session::with(harness, plan).await;
    unbind(&session, &Binding { arguments: arguments(&of("a")), ..to_queue("by-header", "inbox", "") }).await;
    let with = |kind: &str| {
        let mut message = message("by-header", "", kind);
        message.properties.headers.insert("kind".to_owned(), super::plan::text(kind));
        message
    };
    let gone = session.sender().await.answer(&with("a"), true).await;
    assert!(matches!(gone, Ok((Confirmed::Ack, Some(_)))), "it is removed, but the answer was {gone:?}");
    session.publish([with("b")]).await;
    assert_ids("the other one", &session.drain("inbox").await, ["b"]);
    session.close().await;
}

/// An exchange is unbound from another like a queue.
pub async fn an_exchange_can_be_unbound(harness: &impl Harness) {
    let plan = Plan::new().exchange("first", ExchangeKind::Topic).exchange("second", ExchangeKind::Fanout);
    let plan = plan.classic("inbox").bind("second", "inbox", "").bind_exchange("first", "second", "#");
    let session = Session::with(harness, plan).await;
    session.publish([message("first", "x", "before")]).await;
    unbind(&session, &Binding::new("first", Destination::Exchange("second".to_owned()), "#")).await;
    assert_unbound(&session, "first", "x").await;
    session.publish([message("second", "x", "after")]).await;
    assert_ids("both", &session.drain("inbox").await, ["before", "after"]);
    session.close().await;
}

/// A queue that is deleted is gone with its messages and its bindings, and one that is made anew under its name, of another
/// type too, begins without either.
pub async fn a_deleted_queue_is_gone(harness: &impl Harness) {
    for [before, after] in [KINDS, [KINDS[1], KINDS[0]]] {
        let plan = Plan::new().exchange("events", ExchangeKind::Topic).queue("fleeting", before, &[]);
        let session = Session::with(harness, plan.bind("events", "fleeting", "#")).await;
        session.publish(numbered("fleeting", 0..3)).await;
        within("deleting", session.connection.delete_queue("fleeting")).await.expect("it is deleted");
        assert_refused("it is gone", session.try_count("fleeting").await, 404);
        assert_unbound(&session, "events", "x").await;
        session.declare(Plan::new().queue("fleeting", after, &[])).await;
        assert_unbound(&session, "events", "x").await;
        session.publish([to("fleeting", "new")]).await;
        assert_ids("what came since", &session.drain("fleeting").await, ["new"]);
        within("deleting", session.connection.delete_queue("fleeting")).await.expect("it is deleted");
        session.close().await;
    }
}

/// Whoever consumes a queue that is deleted is told, and its connection lives on.
pub async fn deleting_a_queue_ends_its_consumers(harness: &impl Harness) {
    for kind in KINDS {
        let session = Session::with(harness, Plan::new().queue("fleeting", kind, &[])).await;
        let mut receiver = session.receiver("fleeting", 10).await;
        within("deleting", session.connection.delete_queue("fleeting")).await.expect("it is deleted");
        let told = receiver.polled().await;
        assert!(matches!(told, Err(TransportError::Lost { .. })), "the consumer is told, but it got {told:?}");
        assert_eq!(session.connection.state(), ConnectionState::Open);
        session.close().await;
    }
}

/// An exchange that is deleted is gone with the bindings from it and to it.
pub async fn a_deleted_exchange_is_gone(harness: &impl Harness) {
    let exchanges = |plan: Plan| plan.exchange("middle", ExchangeKind::Fanout);
    let plan = exchanges(Plan::new()).exchange("first", ExchangeKind::Topic).classic("inbox");
    let session = Session::with(harness, plan.bind("middle", "inbox", "").bind_exchange("first", "middle", "#")).await;
    within("deleting", session.connection.delete_exchange("middle")).await.expect("it is deleted");
    assert_unbound(&session, "first", "x").await;
    assert_refused("it is gone", session.sender().await.answer(&message("middle", "", "x"), false).await, 404);
    session.declare(exchanges(Plan::new())).await;
    assert_unbound(&session, "middle", "x").await;
    session.close().await;
}

/// What is not there is removed already: that is no error, and costs no connection.
pub async fn removing_what_is_not_there_is_no_mistake(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().exchange("events", ExchangeKind::Topic).classic("inbox")).await;
    unbind(&session, &to_queue("events", "inbox", "never")).await;
    unbind(&session, &to_queue("missing", "inbox", "#")).await;
    unbind(&session, &to_queue("events", "missing", "#")).await;
    unbind(&session, &Binding::new("events", Destination::Exchange("missing".to_owned()), "#")).await;
    within("deleting", session.connection.delete_queue("missing")).await.expect("no queue is no mistake");
    within("deleting", session.connection.delete_exchange("missing")).await.expect("no exchange is no mistake");
    assert_eq!(session.connection.state(), ConnectionState::Open);
    session.close().await;
}

/// Consumers are counted while they consume. One of a quorum queue that is stopped counts until it has settled all that it
/// was given; a classic queue forgets it when it is stopped.
pub async fn a_quorum_queue_knows_who_holds_its_messages(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("used.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..5)).await;
        let usage = async || within("looking", session.connection.usage(&queue)).await.expect("the queue is there");
        assert_eq!(usage().await, Usage { ready: 5, consumers: 0 });
        let mut receiver = session.receiver(&queue, 2).await;
        receiver.take(2).await;
        assert_eq!(usage().await, Usage { ready: 3, consumers: 1 });
        receiver.stop().await;
        let holding = u64::from(kind == QueueType::Quorum);
        assert_eq!(usage().await, Usage { ready: 3, consumers: holding }, "two are not settled");
        receiver.settle([Settlement::Ack(1)]).await;
        let two = session.receiver(&queue, 0).await;
        eventually("the other one has the rest", async || usage().await.ready == 0).await;
        assert_eq!(usage().await.consumers, 1 + holding, "one is not settled");
        two.close().await;
        eventually("the other one's are back", async || usage().await.ready == 3).await;
        receiver.settle([Settlement::Requeue(2)]).await;
        let settled = Usage { ready: 4, consumers: 0 };
        eventually("it has settled all", async || usage().await == settled).await;
        receiver.close().await;
        // One that ends unasked holds nothing either.
        let mut lost = session.receiver(&queue, 1).await;
        lost.next().await;
        lost.close().await;
        eventually("all are back", async || usage().await == settled).await;
        assert_same("the rest", ids(&session.drain(&queue).await), numbers(1..5));
        session.close().await;
    }
}
