//! Whatever ends a channel, what it had and did not settle goes back to its place.

use super::{
    Harness,
    checks::{assert_ids, numbered, numbers},
    plan::{KINDS, Plan},
    session::{Receiver, Session},
};
use crate::{topology::QueueType, transport::Settlement};

/// A queue of ten, of which a channel of a connection of its own has six and acknowledged the second; then that ends.
async fn gives_back<H: Harness>(harness: &H, end: impl AsyncFn(&H, Session, Receiver)) {
    for kind in KINDS {
        let queue = format!("given-back.{kind}");
        let witness = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        witness.publish(numbered(&queue, 0..10)).await;
        let session = Session::open(harness).await;
        let mut receiver = session.receiver(&queue, 6).await;
        receiver.take(3).await;
        receiver.settle([Settlement::Ack(2)]).await;
        // The seventh comes for the second, so that this is taken.
        let had = receiver.take(4).await;
        assert_ids("the rest of the first seven", &had, numbers(3..7));
        end(harness, session, receiver).await;
        // The operator's hand is not only on the one connection.
        let witness = Session::open(harness).await;
        witness.until_count(&queue, 9).await;
        let again = witness.take(&queue, 9).await;
        assert_ids("what was not acknowledged, in order", &again, numbers([0, 2, 3, 4, 5, 6, 7, 8, 9]));
        let marked: Vec<bool> = again.iter().map(|delivery| delivery.redelivered).collect();
        let expected = [true, true, true, true, true, true, false, false, false];
        assert_eq!(marked, expected, "what was delivered before is marked as redelivered, the rest is not");
        witness.close().await;
    }
}

/// What a channel had when it was closed is given back.
pub async fn a_closed_channel_gives_back(harness: &impl Harness) {
    gives_back(harness, async |_, session, receiver| {
        receiver.close().await;
        session.close().await;
    })
    .await;
}

/// What a channel had when it was dropped is given back, without anybody's closing it.
pub async fn a_dropped_channel_gives_back(harness: &impl Harness) {
    gives_back(harness, async |_, session, receiver| {
        drop(receiver);
        // The connection stays, as it does in a service.
        std::mem::forget(session);
    })
    .await;
}

/// What a connection's channels had when it was closed is given back.
pub async fn a_closed_connection_gives_back(harness: &impl Harness) {
    gives_back(harness, async |_, session, _receiver| session.close().await).await;
}

/// What a connection's channels had when an operator closed it is given back.
pub async fn a_connection_closed_by_an_operator_gives_back(harness: &impl Harness) {
    gives_back(harness, async |harness, session, _receiver| {
        harness.close_connections().await;
        super::session::within("the loss of the connection", session.connection.lost()).await;
    })
    .await;
}

/// What was delivered and never polled is given back, too.
pub async fn what_was_not_polled_is_given_back(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().queue("unpolled", QueueType::Quorum, &[])).await;
    session.publish(numbered("unpolled", 0..10)).await;
    let receiver = session.receiver("unpolled", 10).await;
    session.until_count("unpolled", 0).await;
    receiver.close().await;
    assert_ids("all", &session.take("unpolled", 10).await, numbers(0..10));
    session.close().await;
}
