//! Queues hand out their messages in order, to all their consumers, and no faster than these allow.

use std::time::Duration;

use super::{
    Harness,
    checks::{assert_ids, assert_refused, assert_same, id, ids, numbered, numbers, to},
    plan::{KINDS, Plan},
    session::Session,
};
use crate::{
    topology::{Argument, QueueType},
    transport::Settlement,
};

/// One publisher's messages come out in the order in which it wrote them, across its writes.
pub async fn a_queue_keeps_its_order(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("ordered.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        let mut sender = session.sender().await;
        for batch in 0..10 {
            sender.publish(&numbered(&queue, batch * 100..(batch + 1) * 100)).await;
        }
        assert_ids("1,000 messages", &session.take(&queue, 1000).await, numbers(0..1000));
        session.close().await;
    }
}

/// 5,000 messages reach five consumers of one queue: each message one of them, and none of them more than its share, when
/// no one acknowledges.
pub async fn consumers_share_the_work(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().queue("shared", QueueType::Quorum, &[])).await;
    let mut receivers = Vec::new();
    for _ in 0..5 {
        receivers.push(session.receiver("shared", 1000).await);
    }
    let mut sender = session.sender().await;
    for batch in 0..10 {
        sender.publish(&numbered("shared", batch * 500..(batch + 1) * 500)).await;
    }
    let mut seen = Vec::new();
    for receiver in &mut receivers {
        let share = receiver.take(1000).await;
        let order: Vec<usize> = ids(&share).iter().map(|id| id.parse().unwrap()).collect();
        assert!(order.is_sorted(), "each consumer sees the queue's order");
        receiver.settle([Settlement::AckUpTo(1000)]).await;
        seen.extend(ids(&share));
    }
    assert_same("5,000 messages for five consumers", seen, numbers(0..5000));
    for receiver in receivers {
        receiver.finish().await;
    }
    assert_eq!(session.count("shared").await, 0, "all are acknowledged");
    session.close().await;
}

/// Consumers that are all free take turns.
pub async fn free_consumers_take_turns(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("turns.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        let mut receivers = [
            session.receiver(&queue, 10).await,
            session.receiver(&queue, 10).await,
            session.receiver(&queue, 10).await,
        ];
        session.publish(numbered(&queue, 0..12)).await;
        let mut seen = Vec::new();
        for receiver in &mut receivers {
            seen.extend(ids(&receiver.take(4).await));
            receiver.expect_nothing("each has its third of the messages").await;
        }
        assert_same("12 messages for three consumers", seen, numbers(0..12));
        session.close().await;
    }
}

/// No more than the prefetch count is unsettled: the next message comes when one was settled, and not before.
pub async fn prefetch_is_a_limit(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("limited.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..10)).await;
        let mut receiver = session.receiver(&queue, 3).await;
        assert_ids("the first three", &receiver.take(3).await, numbers(0..3));
        assert_eq!(session.count(&queue).await, 7, "the others stay in the queue");
        receiver.expect_nothing("three are unsettled").await;
        receiver.settle([Settlement::Ack(2)]).await;
        assert_eq!(id(&receiver.next().await), "3", "one was settled, one comes");
        receiver.settle([Settlement::AckUpTo(3), Settlement::Reject(4)]).await;
        assert_ids("three were settled, three come", &receiver.take(3).await, numbers(4..7));
        session.until_count(&queue, 3).await;
        receiver.expect_nothing("three are unsettled again").await;
        session.close().await;
    }
}

/// A consumer that asks for more goes on with it: in order, with nothing lost and nothing twice.
pub async fn widening_a_prefetch_keeps_the_order(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("widened.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..200)).await;
        let mut receiver = session.receiver(&queue, 5).await;
        let mut seen = receiver.take(2).await;
        receiver.settle([Settlement::AckUpTo(2)]).await;
        receiver.consume(100).await.expect("the prefetch count grows");
        seen.extend(receiver.take(50).await);
        receiver.consume(150).await.expect("the prefetch count grows once more");
        seen.extend(receiver.take(48).await);
        let tags: Vec<u64> = seen.iter().map(|delivery| delivery.tag).collect();
        assert_eq!(tags, (1..=100).collect::<Vec<u64>>(), "the tags go on");
        receiver.settle([Settlement::AckUpTo(100)]).await;
        seen.extend(receiver.take(100).await);
        assert_ids("200 messages", &seen, numbers(0..200));
        receiver.settle([Settlement::AckUpTo(200)]).await;
        receiver.finish().await;
        assert_eq!(session.count(&queue).await, 0, "all are acknowledged");
        session.close().await;
    }
}

/// The tags of a channel are 1, 2, 3, …, whatever other channels receive.
pub async fn tags_count_from_one_on_each_channel(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("tagged").classic("other")).await;
    session.publish(numbered("tagged", 0..4).into_iter().chain(numbered("other", 0..4))).await;
    let (mut one, mut two) = (session.receiver("tagged", 2).await, session.receiver("other", 0).await);
    for round in [1, 3] {
        for receiver in [&mut one, &mut two] {
            let tags: Vec<u64> = receiver.take(2).await.iter().map(|delivery| delivery.tag).collect();
            assert_eq!(tags, [round, round + 1], "tags go on from 1");
            receiver.settle([Settlement::AckUpTo(round + 1)]).await;
        }
    }
    session.close().await;
}

/// A queue that is not there cannot be consumed (404) nor counted (404), and the connection lives on.
pub async fn a_missing_queue_is_refused(harness: &impl Harness) {
    let session = Session::open(harness).await;
    assert_refused("consuming", session.idle_receiver("missing").await.consume(1).await, 404);
    assert_refused("counting", session.try_count("missing").await, 404);
    session.declare(Plan::new().classic("missing")).await;
    assert_eq!(session.count("missing").await, 0);
    let mut receiver = session.receiver("missing", 1).await;
    session.publish([to("missing", "found")]).await;
    assert_eq!(id(&receiver.next().await), "found");
    session.close().await;
}

/// The count of a queue is what waits in it: not what is with a consumer.
pub async fn what_is_with_a_consumer_is_not_counted(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("counted.{kind}");
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &[])).await;
        session.publish(numbered(&queue, 0..10)).await;
        session.until_count(&queue, 10).await;
        let mut receiver = session.receiver(&queue, 4).await;
        receiver.take(4).await;
        session.until_count(&queue, 6).await;
        receiver.close().await;
        session.until_count(&queue, 10).await;
        session.close().await;
    }
}

/// Of the consumers of a queue with `x-single-active-consumer` one gets all, and the next one takes over when it ends.
pub async fn a_single_active_consumer_hands_over(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("single.{kind}");
        let single = [("x-single-active-consumer", Argument::Bool(true))];
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &single)).await;
        let mut first = session.receiver(&queue, 2).await;
        let mut second = session.receiver(&queue, 2).await;
        session.publish(numbered(&queue, 0..6)).await;
        assert_ids("the first one's", &first.take(2).await, ["0", "1"]);
        first.settle([Settlement::AckUpTo(2)]).await;
        assert_ids("the first one's", &first.take(2).await, ["2", "3"]);
        second.expect_nothing("the first one is active").await;
        first.settle([Settlement::Ack(3)]).await;
        // Not stopped first: the next one would begin before it had what the first one gives back.
        first.close().await;
        assert_ids("what the first one left, in order", &second.take(2).await, ["3", "4"]);
        second.settle([Settlement::AckUpTo(2)]).await;
        assert_eq!(id(&second.next().await), "5");
        second.settle([Settlement::Ack(3)]).await;
        second.finish().await;
        session.until_count(&queue, 0).await;
        session.close().await;
    }
}

/// A queue that is full drops its oldest message for the new one, which is confirmed; with a dead-letter exchange the
/// dropped one goes there.
pub async fn a_full_queue_drops_its_head(harness: &impl Harness) {
    for kind in KINDS {
        let (queue, dead) = (format!("full.{kind}"), format!("dropped.{kind}"));
        let mut arguments = super::plan::dead_letters_to("", &dead);
        arguments.push(("x-max-length", Argument::Integer(3)));
        arguments.push(("x-overflow", Argument::from("drop-head")));
        let plan = Plan::new().classic(&dead).queue(&queue, kind, &arguments);
        let session = Session::with(harness, plan).await;
        session.publish(numbered(&queue, 0..8)).await;
        let dropped = session.take(&dead, 5).await;
        assert_ids("the dropped ones", &dropped, numbers(0..5));
        assert_ids("the newest three", &session.take(&queue, 3).await, numbers(5..8));
        session.close().await;
    }
}

/// A queue with `x-expires` is deleted when nobody has used it for that long.
pub async fn an_unused_queue_expires(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("unused.{kind}");
        let session =
            Session::with(harness, Plan::new().queue(&queue, kind, &[("x-expires", Argument::Integer(1000))])).await;
        let receiver = session.receiver(&queue, 1).await;
        harness.pass(Duration::from_millis(1500)).await;
        // A declaration, with which a queue is counted, is a use, too.
        assert_eq!(session.count(&queue).await, 0, "a queue that has a consumer stays");
        receiver.close().await;
        // Looking is a use, so nobody may look meanwhile.
        let mut gone = false;
        for _ in 0..10 {
            harness.pass(Duration::from_millis(2500)).await;
            gone |= session.try_count(&queue).await.is_err();
            if gone {
                break;
            }
        }
        assert!(gone, "a queue that nobody used for its `x-expires` is gone");
        session.close().await;
    }
}
