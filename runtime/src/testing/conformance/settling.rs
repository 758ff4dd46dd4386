//! What becomes of a delivery: acknowledged, put back or rejected; and what a wrong tag costs.

use super::{
    Harness,
    checks::{assert_ids, id, numbered, numbers, to},
    plan::{KINDS, Plan},
    session::Session,
};
use crate::{
    topology::{Arguments, Queue, QueueType},
    transport::{Delivery, HeaderValue, Settlement, TransportError},
};

/// How often the broker says that it delivered a message before; `None` if it does not say.
pub(super) fn delivery_count(delivery: &Delivery) -> Option<i64> {
    delivery.message.properties.headers.get("x-delivery-count").and_then(HeaderValue::as_integer)
}

/// Acknowledgements may come in any order; what is acknowledged is gone, and the rest is given back in its order.
pub async fn acks_may_come_in_any_order(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("acked.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..10)).await;
        let mut receiver = session.receiver(&queue, 0).await;
        receiver.take(10).await;
        receiver.settle([9, 1, 4, 2].map(Settlement::Ack)).await;
        receiver.settle([Settlement::Ack(6)]).await;
        receiver.finish().await;
        assert_ids("what was not acknowledged", &session.drain(&queue).await, numbers([2, 4, 6, 7, 9]));
        session.close().await;
    }
}

/// `AckUpTo` acknowledges its own delivery and all below it that are not settled yet, and none above.
pub async fn ack_up_to_takes_all_below(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("up-to.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..10)).await;
        let mut receiver = session.receiver(&queue, 0).await;
        receiver.take(10).await;
        receiver.settle([Settlement::Ack(2), Settlement::AckUpTo(4), Settlement::Ack(9), Settlement::AckUpTo(6)]).await;
        receiver.finish().await;
        assert_ids("what was not acknowledged", &session.drain(&queue).await, numbers([6, 7, 9]));
        session.close().await;
    }
}

/// A requeued message goes back to its place, before all that stood behind it, and comes again under a new tag and marked
/// as redelivered.
pub async fn a_requeued_message_keeps_its_place(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("requeued.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..6)).await;
        let mut receiver = session.receiver(&queue, 3).await;
        assert!(receiver.take(3).await.iter().all(|delivery| !delivery.redelivered));
        receiver.settle([Settlement::Requeue(2)]).await;
        let again = receiver.next().await;
        assert_eq!((id(&again), again.tag, again.redelivered), ("1", 4, true), "it comes again before all others");
        receiver.settle([Settlement::AckUpTo(4)]).await;
        let next = receiver.take(3).await;
        assert_ids("the rest", &next, numbers(3..6));
        assert!(next.iter().all(|delivery| !delivery.redelivered), "others are not marked");
        session.close().await;
    }
}

/// A quorum queue says how often it delivered a message before, whoever gave it back and however, and nothing on the first
/// delivery; a classic queue never does.
pub async fn a_quorum_queue_counts_deliveries(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("recounted.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish([to(&queue, "counted")]).await;
        let mut seen = Vec::new();
        let mut receiver = session.receiver(&queue, 1).await;
        for _ in 0..3 {
            let delivery = receiver.next().await;
            seen.push(delivery_count(&delivery));
            receiver.settle([Settlement::Requeue(delivery.tag)]).await;
        }
        seen.push(delivery_count(&receiver.next().await));
        receiver.close().await;
        let mut receiver = session.receiver(&queue, 1).await;
        seen.push(delivery_count(&receiver.next().await));
        let expected = match kind {
            QueueType::Quorum => vec![None, Some(1), Some(2), Some(3), Some(4)],
            _ => vec![None; 5],
        };
        assert_eq!(seen, expected, "the counts of a {kind} queue, given back three times and then with its channel");
        session.close().await;
    }
}

/// A sender's own `x-delivery-count` is shown on the first delivery and counts for nothing.
pub async fn a_forged_delivery_count_counts_for_nothing(harness: &impl Harness) {
    let session =
        Session::with(harness, Plan::new().queue("forged", QueueType::Quorum, &[("x-delivery-limit", 2.into())])).await;
    let mut forged = to("forged", "forged");
    forged.properties.headers.insert("x-delivery-count".to_owned(), HeaderValue::I64(50));
    session.publish([forged]).await;
    let mut receiver = session.receiver("forged", 1).await;
    for count in [50, 1, 2] {
        let delivery = receiver.next().await;
        assert_eq!(delivery_count(&delivery), Some(count), "the sender's count once, and then the broker's");
        receiver.settle([Settlement::Requeue(delivery.tag)]).await;
    }
    session.publish([to("forged", "next")]).await;
    assert_eq!(id(&receiver.next().await), "next", "the limit of two returns is used up");
    session.close().await;
}

/// A quorum queue declared without a limit gives a message up after the broker's own
/// [`default_delivery_limit`](super::Capabilities::default_delivery_limit), if it has one.
pub async fn a_queue_without_a_limit_has_the_brokers(harness: &impl Harness) {
    let session = Session::open(harness).await;
    let queue = Queue::named("unlimited", QueueType::Quorum, Arguments::new());
    session.declare(Plan::new().bare_queue(queue)).await;
    session.publish([to("unlimited", "returned")]).await;
    let mut receiver = session.receiver("unlimited", 1).await;
    let deliveries = harness.capabilities().default_delivery_limit.map_or(40, |limit| limit + 1);
    for delivery in 0..deliveries {
        let next = receiver.next().await;
        assert_eq!(id(&next), "returned", "delivery {delivery}");
        receiver.settle([Settlement::Requeue(next.tag)]).await;
    }
    // Whatever has come by now stands before this one or is with the channel.
    session.publish([to("unlimited", "last")]).await;
    let next = receiver.next().await;
    let expected = if harness.capabilities().default_delivery_limit.is_some() { "last" } else { "returned" };
    assert_eq!(id(&next), expected, "what comes after {deliveries} deliveries");
    session.close().await;
}

/// A tag that was never given or is settled already loses the channel, and nothing else: what it had comes again.
pub async fn a_wrong_tag_loses_the_channel(harness: &impl Harness) {
    for (name, wrong) in [("unknown", Settlement::Ack(99)), ("settled", Settlement::Ack(1))] {
        let queue = format!("mistagged.{name}");
        let witness = Session::with(harness, Plan::new().classic(&queue)).await;
        witness.publish(numbered(&queue, 0..3)).await;
        let session = Session::open(harness).await;
        let mut receiver = session.receiver(&queue, 2).await;
        receiver.take(2).await;
        receiver.settle([Settlement::Ack(1)]).await;
        assert_eq!(id(&receiver.next().await), "2");
        // What the wrong one brings about may show with it or later.
        let written = receiver.try_settle([wrong]).await;
        assert!(matches!(written, Ok(()) | Err(TransportError::Refused { .. } | TransportError::Lost { .. })));
        let ended = receiver.polled().await;
        assert!(ended.is_err(), "{name} tag: the channel is lost, but it gave {ended:?}");
        assert!(!receiver.channel.is_open(), "{name} tag: the channel says that it can't be used");
        assert_ids("what the channel had", &witness.take(&queue, 2).await, numbers(1..3));
        witness.close().await;
        session.close().await;
    }
}
