//! Every published message gets one answer, and it is a true one.

use super::{
    Harness,
    checks::{assert_ids, assert_refused, assert_same, id, ids, message, numbered, numbers, to},
    plan::{KINDS, Plan, text},
    session::Session,
};
use crate::{
    topology::{Argument, ExchangeKind, QueueType},
    transport::{Confirmed, Message, Returned, TransportError},
};

/// Each of 1,000 messages gets exactly one answer, and each that no queue is bound for is returned once: with its own
/// confirm or an earlier one.
pub async fn every_message_gets_one_answer(harness: &impl Harness) {
    let plan = Plan::new().exchange("events", ExchangeKind::Direct).queue("bound", QueueType::Quorum, &[]);
    let session = Session::with(harness, plan.bind("events", "bound", "bound")).await;
    let key = |number: usize| if number.is_multiple_of(5) { "unbound" } else { "bound" };
    let messages: Vec<Message> = (0..1000).map(|number| message("events", key(number), number.to_string())).collect();
    let mut sender = session.sender().await;
    let mut returned = Vec::new();
    for (place, answer) in sender.answers(&messages, true).await.into_iter().enumerate() {
        let (confirmed, came_back) = answer.expect("every message gets an answer");
        assert_eq!(confirmed, Confirmed::Ack, "message {place}");
        if let Some(Returned { message_id, exchange, routing_key }) = came_back {
            assert_eq!((exchange.as_str(), routing_key.as_str()), ("events", "unbound"));
            returned.push(message_id.expect("a returned message has its id"));
        }
    }
    assert_same("the returned ones", returned, numbers((0..1000).step_by(5)));
    sender.close().await;
    let stored = session.take("bound", 800).await;
    assert_ids(
        "the stored ones, in order",
        &stored,
        numbers((0..1000_usize).filter(|number| !number.is_multiple_of(5))),
    );
    session.close().await;
}

/// The answers can be waited for in any order.
pub async fn answers_can_be_waited_for_in_any_order(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().queue("inbox", QueueType::Quorum, &[])).await;
    let messages = numbered("inbox", 0..100);
    let mut sender = session.sender().await;
    let mut confirms = Vec::new();
    for batch in messages.chunks(10) {
        confirms.extend(sender.write(batch.iter().map(|message| (message, true)).collect()).await);
    }
    for confirm in confirms.into_iter().rev() {
        let answer = super::session::within("a confirm", confirm.expect("it is written")).await;
        assert_eq!(answer, Ok((Confirmed::Ack, None)));
    }
    assert_ids("100 messages", &session.take("inbox", 100).await, numbers(0..100));
    session.close().await;
}

/// A mandatory message that no queue is bound for is confirmed and comes back with its id, its exchange and its key; one
/// that is not mandatory is confirmed only.
pub async fn a_mandatory_message_comes_back(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().exchange("empty", ExchangeKind::Topic)).await;
    let mut sender = session.sender().await;
    let lost = message("empty", "no.body", "lost");
    let returned = |id: Option<&str>, exchange: &str, key: &str| Returned {
        message_id: id.map(Into::into),
        exchange: exchange.into(),
        routing_key: key.into(),
    };
    let answer = sender.answer(&lost, true).await;
    assert_eq!(answer, Ok((Confirmed::Ack, Some(returned(Some("lost"), "empty", "no.body")))));
    assert_eq!(sender.answer(&lost, false).await, Ok((Confirmed::Ack, None)), "it is not mandatory");
    let answer = sender.answer(&to("no such queue", "lost"), true).await;
    assert_eq!(answer, Ok((Confirmed::Ack, Some(returned(Some("lost"), "", "no such queue")))));
    let nameless = Message { exchange: "empty".into(), ..Message::default() };
    let answer = sender.answer(&nameless, true).await;
    assert_eq!(answer, Ok((Confirmed::Ack, Some(returned(None, "empty", "")))));
    sender.close().await;
    session.close().await;
}

/// What an exchange routes nowhere goes to its alternate exchange, with its exchange and key, and does not come back; only
/// if that has nothing either it does.
pub async fn an_alternate_exchange_takes_the_rest(harness: &impl Harness) {
    let plan = Plan::new().exchange("rest", ExchangeKind::Topic).exchange("last", ExchangeKind::Direct);
    let to_rest = [("alternate-exchange", Argument::from("rest"))];
    let plan = plan.exchange_with("first", ExchangeKind::Direct, &to_rest).classic("bound").classic("rest");
    let plan = plan.bind("first", "bound", "a").bind("rest", "rest", "b.#");
    let session = Session::with(harness, plan).await;
    session.publish([message("first", "a", "bound"), message("first", "b.c", "rest")]).await;
    let answer = session.sender().await.answer(&message("first", "c", "nobody's"), true).await;
    let Ok((Confirmed::Ack, Some(returned))) = answer else { panic!("it comes back, but the answer was {answer:?}") };
    assert_eq!((returned.exchange.as_str(), returned.routing_key.as_str()), ("first", "c"));
    assert_ids("what the first takes", &session.drain("bound").await, ["bound"]);
    let rest = session.drain("rest").await;
    assert_ids("what the alternate exchange takes", &rest, ["rest"]);
    assert_eq!((rest[0].message.exchange.as_str(), rest[0].message.routing_key.as_str()), ("first", "b.c"));
    session.close().await;
}

/// An exchange that is not there refuses the message's channel with 404, and the next channel works.
pub async fn a_missing_exchange_refuses_the_channel(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    let mut sender = session.sender().await;
    assert_refused("to a missing exchange", sender.answer(&message("missing", "inbox", "lost"), false).await, 404);
    let after = sender.answer(&to("inbox", "after"), true).await;
    assert!(after.is_err(), "the channel is gone, but the answer was {after:?}");
    drop(sender);
    session.publish([to("inbox", "by the next")]).await;
    assert_ids("what is stored", &session.drain("inbox").await, ["by the next"]);
    session.close().await;
}

/// What does not fit AMQP is not written, and harms none of the messages around it.
pub async fn an_unwritable_message_harms_no_other(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    let long = "x".repeat(256);
    let mut messages = numbered("inbox", 0..6);
    messages[1].routing_key = long.as_str().into();
    messages[2].exchange = long.as_str().into();
    messages[3].properties.headers.insert(long.clone(), text("of a name that is too long"));
    messages[4].properties.message_id = Some(long.into());
    let mut sender = session.sender().await;
    for (place, answer) in sender.answers(&messages, true).await.into_iter().enumerate() {
        match (place, answer) {
            (0 | 5, Ok((Confirmed::Ack, None))) | (1..=4, Err(TransportError::Unwritable { .. })) => {}
            (place, answer) => panic!("only 1 to 4 are unwritable, but message {place} got {answer:?}"),
        }
    }
    let longest = to("inbox", "x".repeat(255));
    sender.publish(std::slice::from_ref(&longest)).await;
    sender.close().await;
    let expected = ["0".to_owned(), "5".to_owned(), "x".repeat(255)];
    assert_ids("what is stored", &session.drain("inbox").await, expected);
    session.close().await;
}

/// A queue that is full and has `reject-publish` answers no; what it answered yes to is there, and nothing else. A quorum
/// queue may take a few more than its limit.
pub async fn a_full_queue_answers_no(harness: &impl Harness) {
    for kind in KINDS {
        let queue = format!("full.{kind}");
        let arguments = [("x-max-length", Argument::Integer(2)), ("x-overflow", Argument::from("reject-publish"))];
        let session = Session::with(harness, Plan::new().queue(&queue, kind, &arguments)).await;
        let mut sender = session.sender().await;
        let mut stored = Vec::new();
        for message in numbered(&queue, 0..20) {
            match sender.answer(&message, true).await {
                Ok((Confirmed::Ack, None)) => stored.extend(message.properties.message_id),
                Ok((Confirmed::Nack, None)) => {}
                other => panic!("it is stored or not, but the answer was {other:?}"),
            }
        }
        assert!((2..20).contains(&stored.len()), "a limit of two, but {} were stored", stored.len());
        let there = session.take(&queue, stored.len()).await;
        assert_ids("what the broker answered yes to", &there, stored);
        session.until_count(&queue, 0).await;
        session.publish([to(&queue, "with room")]).await;
        session.close().await;
    }
}

/// A no means that one queue did not store the message: others may have.
pub async fn a_no_is_not_stored_nowhere(harness: &impl Harness) {
    let arguments = [("x-max-length", Argument::Integer(1)), ("x-overflow", Argument::from("reject-publish"))];
    let plan = Plan::new().exchange("both", ExchangeKind::Fanout).queue("full", QueueType::Classic, &arguments);
    let plan = plan.classic("roomy").bind("both", "full", "").bind("both", "roomy", "");
    let session = Session::with(harness, plan).await;
    let mut sender = session.sender().await;
    let mut refused = 0;
    for number in 0..5 {
        match sender.answer(&message("both", "", number.to_string()), true).await {
            Ok((Confirmed::Ack, None)) => {}
            Ok((Confirmed::Nack, None)) => refused += 1,
            other => panic!("it is stored or not, but the answer was {other:?}"),
        }
    }
    assert!(refused > 0, "the full queue answers no");
    assert_ids("the queue with room", &session.drain("roomy").await, numbers(0..5));
    session.close().await;
}

/// Several channels publish at once without mixing up their answers.
pub async fn channels_do_not_mix_answers(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().queue("inbox", QueueType::Quorum, &[])).await;
    let channels = (0..4).map(|channel| {
        let session = &session;
        async move {
            let mut sender = session.sender().await;
            // Every other channel's messages are for nobody.
            let queue = if channel % 2 == 0 { "inbox" } else { "nobody" };
            let messages: Vec<Message> = (0..200).map(|number| to(queue, format!("{channel}.{number}"))).collect();
            let mut returned = 0;
            for answer in sender.answers(&messages, true).await {
                returned += usize::from(answer.expect("every message gets an answer").1.is_some());
            }
            assert_eq!(returned, if channel % 2 == 0 { 0 } else { 200 }, "the returned ones of channel {channel}");
            sender.close().await;
        }
    });
    futures_util::future::join_all(channels).await;
    let stored = session.take("inbox", 400).await;
    for channel in ["0.", "2."] {
        let of_channel: Vec<_> = stored.iter().filter(|delivery| id(delivery).starts_with(channel)).cloned().collect();
        assert_ids("one channel's, in order", &of_channel, (0..200).map(|number| format!("{channel}{number}")));
    }
    assert_eq!(ids(&stored).len(), 400);
    session.close().await;
}
