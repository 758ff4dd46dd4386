//! What a restart of the broker leaves.

use super::{
    Harness,
    checks::{assert_ids, assert_refused, message, numbered, numbers},
    plan::{KINDS, Plan},
    session::{Session, within},
};
use crate::{
    topology::ExchangeKind,
    transport::{ConnectionState, Settlement},
};

/// A broker that is [`persistent`](super::Capabilities::persistent) has its exchanges, queues, bindings and persistent
/// messages after a restart, in order, and what was with a consumer is back; another has nothing of it.
pub async fn a_restart_keeps_what_is_persistent(harness: &impl Harness) {
    let mut plan = Plan::new().exchange("events", ExchangeKind::Topic);
    for kind in KINDS {
        let queue = format!("kept.{kind}");
        plan = plan.queue(&queue, kind, &[]).bind("events", &queue, "after");
    }
    let session = Session::with(harness, plan).await;
    let mut receivers = Vec::new();
    for kind in KINDS {
        let queue = format!("kept.{kind}");
        session.publish(numbered(&queue, 0..10)).await;
        let mut receiver = session.receiver(&queue, 4).await;
        receiver.take(4).await;
        receiver.settle([Settlement::Ack(1), Settlement::Ack(3)]).await;
        receiver.take(2).await;
        receiver.stop().await;
        receivers.push(receiver);
    }
    harness.restart().await;
    within("the loss of the connection", session.connection.lost()).await;
    let session = Session::open(harness).await;
    if harness.capabilities().persistent {
        session.publish([message("events", "after", "10")]).await;
    }
    for kind in KINDS {
        let queue = format!("kept.{kind}");
        if harness.capabilities().persistent {
            assert_ids(
                "what was not acknowledged",
                &session.take(&queue, 9).await,
                numbers([1, 3, 4, 5, 6, 7, 8, 9, 10]),
            );
        } else {
            assert_refused("nothing is left", session.try_count(&queue).await, 404);
        }
    }
    session.close().await;
}

/// A message that is not persistent is gone from a classic queue after a restart, where the queue itself is kept.
pub async fn a_restart_drops_what_is_not_persistent(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("fleeting")).await;
    let mut messages = numbered("fleeting", 0..4);
    messages[1].properties.delivery_mode = Some(1);
    messages[3].properties.delivery_mode = None;
    session.publish(messages).await;
    harness.restart().await;
    within("the loss of the connection", session.connection.lost()).await;
    let session = Session::open(harness).await;
    if harness.capabilities().persistent {
        assert_ids("the persistent ones", &session.drain("fleeting").await, ["0", "2"]);
    } else {
        assert_refused("nothing is left", session.try_count("fleeting").await, 404);
    }
    session.close().await;
}

/// A restart loses the connections of before, and new ones work as ever.
pub async fn a_restart_loses_connections(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    let mut receiver = session.receiver("inbox", 1).await;
    harness.restart().await;
    within("the loss of the connection", session.connection.lost()).await;
    let state = session.connection.state();
    assert!(matches!(state, ConnectionState::Lost(_)), "the connection is lost, but it is {state:?}");
    let polled = receiver.polled().await;
    assert!(polled.is_err(), "an error, but it gave {polled:?}");
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    session.publish(numbered("inbox", 0..3)).await;
    assert_ids("after the restart", &session.take("inbox", 3).await, numbers(0..3));
    session.close().await;
}
