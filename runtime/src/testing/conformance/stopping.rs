//! A consumer that is stopped: nothing new comes, nothing is lost.

use super::{
    Harness,
    checks::{assert_ids, assert_same, id, ids, numbered, numbers, to},
    plan::{KINDS, Plan},
    session::Session,
};
use crate::{topology::QueueType, transport::Settlement};

/// What was sent ahead still comes out of a stopped channel, in order; then there is no more, however often it is asked.
pub async fn what_was_sent_ahead_still_comes(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("ahead.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..20)).await;
        let mut receiver = session.receiver(&queue, 10).await;
        receiver.take(3).await;
        session.until_count(&queue, 10).await;
        receiver.stop().await;
        session.publish([to(&queue, "20")]).await;
        assert_ids("the rest of ten", &receiver.take(7).await, numbers(3..10));
        for _ in 0..3 {
            assert_eq!(receiver.polled().await, Ok(None), "there is no more");
        }
        receiver.settle([Settlement::AckUpTo(10)]).await;
        assert_eq!(receiver.polled().await, Ok(None), "nor when there would be room");
        receiver.stop().await;
        assert_eq!(receiver.polled().await, Ok(None), "nor after another stop");
        receiver.close().await;
        assert_ids("the others are for others", &session.take(&queue, 11).await, numbers(10..21));
        session.close().await;
    }
}

/// 300 acknowledgements are taken when the channel was stopped, even if it is closed at once.
pub async fn stopping_proves_acknowledgements(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("proven.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..301)).await;
        let mut receiver = session.receiver(&queue, 300).await;
        receiver.take(300).await;
        receiver.settle((1..=300).map(Settlement::Ack)).await;
        receiver.stop().await;
        // What one acknowledgement made room for may be with the channel.
        receiver.close().await;
        let left = session.drain(&queue).await;
        assert_same("what is left", ids(&left), ["300"]);
        session.close().await;
    }
}

/// What is settled after the stop counts, too, once it is proven.
pub async fn settlements_after_the_stop_are_kept(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("late.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..310)).await;
        let mut receiver = session.receiver(&queue, 300).await;
        receiver.take(300).await;
        receiver.stop().await;
        let odd = (1..=300).filter(|tag| tag % 2 == 1);
        receiver.settle(odd.map(Settlement::Ack)).await;
        receiver.settle([Settlement::Reject(2), Settlement::Requeue(4)]).await;
        super::session::within("proving", receiver.channel.prove()).await.expect("the settlements are proven");
        receiver.close().await;
        let left = (0..310).filter(|number| *number >= 300 || (number % 2 == 1 && *number != 1));
        // What proves it may have taken a message ahead of the requeued one, so the order is open.
        assert_same("what was not settled", ids(&session.drain(&queue).await), numbers(left));
        session.close().await;
    }
}

/// A channel that is stopped leaves the queue's other consumers alone.
pub async fn others_go_on(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().queue("two", QueueType::Quorum, &[])).await;
    let (mut one, mut two) = (session.receiver("two", 1).await, session.receiver("two", 1).await);
    session.publish(numbered("two", 0..2)).await;
    let (first, second) = (one.next().await, two.next().await);
    assert_same("one each", [id(&first), id(&second)], ["0", "1"]);
    one.stop().await;
    one.settle([Settlement::Ack(1)]).await;
    two.settle([Settlement::Ack(1)]).await;
    session.publish(numbered("two", 2..4)).await;
    assert_eq!(id(&two.next().await), "2");
    two.settle([Settlement::Ack(2)]).await;
    assert_eq!(id(&two.next().await), "3");
    assert_eq!(one.polled().await, Ok(None));
    session.close().await;
}
