//! Queues of one connection's own.

use super::{
    Harness,
    checks::{assert_ids, assert_refused, id, message},
    plan::Plan,
    session::{Session, eventually, within},
};
use crate::{
    topology::{Binding, Destination, ExchangeKind},
    transport::{Confirmed, Settlement},
};

fn bound_by(keys: &[&str]) -> Vec<Binding> {
    keys.iter().map(|key| Binding::new("events", Destination::Queue("ignored".to_owned()), *key)).collect()
}

async fn with_events(harness: &impl Harness) -> Session {
    Session::with(harness, Plan::new().exchange("events", ExchangeKind::Topic)).await
}

async fn own_queue(session: &Session, keys: &[&str]) -> String {
    let bindings = bound_by(keys);
    within("declaring a queue", session.connection.declare_exclusive(&bindings)).await.expect("it is declared")
}

/// The broker names a queue of a connection's own, each time otherwise; it is bound as was asked, and its connection may
/// consume it on several channels.
pub async fn an_exclusive_queue_is_named_and_bound(harness: &impl Harness) {
    let session = with_events(harness).await;
    let (one, two) = (own_queue(&session, &["a.*", "b"]).await, own_queue(&session, &["#"]).await);
    assert!(!one.is_empty() && one != two && one != "ignored", "two names: `{one}` and `{two}`");
    session.publish(["a.1", "c", "b", "a.1.2"].map(|key| message("events", key, key))).await;
    let mut receiver = session.receiver(&one, 10).await;
    assert_ids("by two bindings", &receiver.take(2).await, ["a.1", "b"]);
    receiver.expect_nothing("the others do not match").await;
    let (mut first, mut second) = (session.receiver(&two, 2).await, session.receiver(&two, 2).await);
    first.take(2).await;
    second.take(2).await;
    session.close().await;
}

/// An exclusive queue can be neither consumed nor counted by another connection (405).
pub async fn an_exclusive_queue_is_its_connections_own(harness: &impl Harness) {
    let session = with_events(harness).await;
    let queue = own_queue(&session, &["#"]).await;
    let other = Session::open(harness).await;
    assert_refused("consuming another's", other.idle_receiver(&queue).await.consume(1).await, 405);
    other.close().await;
    let other = Session::open(harness).await;
    assert_refused("counting another's", other.try_count(&queue).await, 405);
    // Anybody may publish to it.
    other.publish([message("events", "x", "by another")]).await;
    assert_eq!(id(&session.receiver(&queue, 1).await.next().await), "by another");
    session.close().await;
    other.close().await;
}

/// An exclusive queue and its bindings are gone with their connection.
pub async fn an_exclusive_queue_goes_with_its_connection(harness: &impl Harness) {
    for operator in [false, true] {
        let session = with_events(harness).await;
        let queue = own_queue(&session, &["#"]).await;
        session.publish([message("events", "x", "bound")]).await;
        if operator {
            harness.close_connections().await;
            within("the loss of the connection", session.connection.lost()).await;
        } else {
            session.close().await;
        }
        let other = Session::open(harness).await;
        let queue = queue.as_str();
        eventually("the queue is gone", async || {
            // While the broker is at it the queue is another's still.
            let answer = other.try_count(queue).await;
            matches!(answer, Err(crate::transport::TransportError::Refused { code: 404, .. }))
        })
        .await;
        let answer = other.sender().await.answer(&message("events", "x", "unbound"), true).await;
        assert!(matches!(answer, Ok((Confirmed::Ack, Some(_)))), "nothing is bound, but the answer was {answer:?}");
        other.close().await;
    }
}

/// An exclusive queue is gone with its last consumer.
pub async fn an_exclusive_queue_goes_with_its_consumer(harness: &impl Harness) {
    let session = with_events(harness).await;
    let queue = own_queue(&session, &["#"]).await;
    session.publish([message("events", "x", "one"), message("events", "x", "two")]).await;
    let mut receiver = session.receiver(&queue, 1).await;
    receiver.next().await;
    receiver.settle([Settlement::Ack(1)]).await;
    receiver.close().await;
    let queue = queue.as_str();
    eventually("the queue is gone", async || session.try_count(queue).await.is_err()).await;
    assert_refused("it is gone", session.try_count(queue).await, 404);
    session.close().await;
}

/// An exclusive queue that is to be bound to an exchange that is not there is refused with 404, and the connection lives on.
pub async fn an_exclusive_queue_needs_its_exchange(harness: &impl Harness) {
    let session = Session::open(harness).await;
    let bindings = bound_by(&["#"]);
    let answer = within("declaring a queue", session.connection.declare_exclusive(&bindings)).await;
    assert_refused("no exchange", answer, 404);
    session.declare(Plan::new().exchange("events", ExchangeKind::Topic)).await;
    own_queue(&session, &["#"]).await;
    session.close().await;
}
