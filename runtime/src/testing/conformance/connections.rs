//! Connections that are closed or lost: everything says so, and nothing hangs.

use super::{
    Harness,
    checks::{assert_ids, assert_refused, assert_same, numbered, numbers, to},
    plan::Plan,
    session::{Receiver, Sender, Session, within},
};
use crate::{
    topology::{QueueType, Topology, TopologyMode},
    transport::{ConnectionState, Settlement},
};

/// Everything that a connection and its channels can be asked is answered with an error.
async fn all_is_over(session: &Session, mut sender: Sender, receiver: Receiver) {
    let connection = &session.connection;
    within("the loss of the connection", connection.lost()).await;
    within("its loss, asked again", connection.lost()).await;
    let state = connection.state();
    assert!(matches!(state, ConnectionState::Lost(_)), "the connection is lost, but it is {state:?}");
    let topology: Topology = Plan::new().classic("never").into();
    let declared = within("declaring", connection.declare(&topology, TopologyMode::Declare)).await;
    assert!(declared.is_err(), "nothing is declared any more");
    assert!(within("declaring", connection.declare_exclusive(&[])).await.is_err(), "no queue is declared any more");
    assert!(within("counting", connection.count("inbox")).await.is_err(), "nothing is counted any more");
    assert!(within("opening", connection.publish_channel()).await.is_err(), "no channel opens any more");
    assert!(within("opening", connection.consume_channel("inbox".to_owned())).await.is_err(), "nor one that consumes");
    let answer = sender.answer(&to("inbox", "late"), true).await;
    assert!(answer.is_err(), "nothing is published any more, but the answer was {answer:?}");
    assert!(!receiver.channel.is_open(), "the consuming channel says that it can't be used");
    // Written into nowhere or not, it does not hang.
    let _ = receiver.try_settle([Settlement::Ack(1)]).await;
    within("closing the connection once more", connection.close()).await;
    let _ = within("closing a channel", sender.channel.close()).await;
    let _ = within("closing a channel", receiver.channel.close()).await;
}

/// A new connection is open and allows for frames of 4096 bytes at least, which is AMQP's minimum.
pub async fn a_new_connection_is_open(harness: &impl Harness) {
    let session = Session::open(harness).await;
    assert_eq!(session.connection.state(), ConnectionState::Open);
    assert!(session.connection.frame_max() >= 4096, "frames of {} bytes", session.connection.frame_max());
    session.close().await;
}

/// A connection that we closed is lost, and whatever it is asked then is an error at once; to close it again is none.
pub async fn a_closed_connection_is_over(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    session.publish(numbered("inbox", 0..3)).await;
    let (sender, mut receiver) = (session.sender().await, session.receiver("inbox", 3).await);
    receiver.next().await;
    session.close().await;
    all_is_over(&session, sender, receiver).await;
    let session = Session::open(harness).await;
    assert_ids("nothing was acknowledged", &session.take("inbox", 3).await, numbers(0..3));
    session.close().await;
}

/// A connection that an operator closed is lost, whatever it is asked then is an error, and a new one works.
pub async fn a_connection_closed_by_an_operator_is_over(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    session.publish(numbered("inbox", 0..3)).await;
    let (sender, mut receiver) = (session.sender().await, session.receiver("inbox", 1).await);
    receiver.next().await;
    harness.close_connections().await;
    all_is_over(&session, sender, receiver).await;
    let session = Session::open(harness).await;
    assert_ids("nothing was acknowledged", &session.take("inbox", 3).await, numbers(0..3));
    session.close().await;
}

/// What lies in a buffer when the connection is lost is not given out: it comes again to others, so it must not be handled.
pub async fn a_lost_connection_gives_nothing_out(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().queue("inbox", QueueType::Quorum, &[])).await;
    session.publish(numbered("inbox", 0..50)).await;
    let mut receiver = session.receiver("inbox", 0).await;
    receiver.take(2).await;
    session.until_count("inbox", 0).await;
    harness.close_connections().await;
    within("the loss of the connection", session.connection.lost()).await;
    let polled = receiver.polled().await;
    assert!(polled.is_err(), "an error rather than a delivery, but it gave {polled:?}");
    let session = Session::open(harness).await;
    assert_ids("all, to the next one", &session.take("inbox", 50).await, numbers(0..50));
    session.close().await;
}

/// Whoever waits when the connection is lost is told.
pub async fn whoever_waits_is_told(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    let mut receiver = session.receiver("inbox", 1).await;
    let lost = tokio::spawn(session.connection.lost());
    let waiting = async { receiver.polled().await };
    let (polled, ()) = tokio::join!(waiting, harness.close_connections());
    assert!(polled.is_err(), "an error, but it gave {polled:?}");
    within("the loss of the connection", lost).await.expect("the task runs to its end");
}

/// A connection that has opened thousands of channels, some of which the broker closed, opens the next one like the first.
pub async fn channels_can_be_opened_without_end(harness: &impl Harness) {
    // More than the numbers that RabbitMQ has for them at a time.
    const CHANNELS: usize = 2100;
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    for _ in 0..3 {
        assert_refused("a missing queue", session.try_count("missing").await, 404);
    }
    for _ in 0..CHANNELS {
        let channel = within("opening", session.connection.consume_channel("inbox".to_owned())).await;
        within("closing", channel.expect("a channel opens").close()).await.expect("the channel closes");
    }
    assert_eq!(session.count("inbox").await, 0);
    session.close().await;
}

/// Messages whose confirms are on their way when the connection is lost have an answer each; those with a yes are stored,
/// and none is stored twice.
pub async fn what_was_confirmed_before_a_loss_is_stored(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().queue("inbox", QueueType::Quorum, &[])).await;
    let mut sender = session.sender().await;
    let messages = numbered("inbox", 0..2000);
    let confirms = sender.write(messages.iter().map(|message| (message, true)).collect()).await;
    harness.close_connections().await;
    let mut confirmed = Vec::new();
    for (place, confirm) in confirms.into_iter().enumerate() {
        let Ok(confirm) = confirm else { continue };
        if within("an answer", confirm).await.is_ok() {
            confirmed.push(place.to_string());
        }
    }
    let session = Session::open(harness).await;
    let stored: Vec<String> =
        session.drain("inbox").await.iter().map(|delivery| super::checks::id(delivery).to_owned()).collect();
    let mut once = stored.clone();
    once.sort_unstable();
    once.dedup();
    assert_same("each message once", &stored, &once);
    let both = confirmed.iter().filter(|id| once.binary_search(id).is_ok());
    assert_same("what was confirmed is stored", both, &confirmed);
    session.close().await;
}

/// A connection is not concerned by what becomes of another's, and channels not by what becomes of other channels.
pub async fn connections_do_not_share_their_fate(harness: &impl Harness) {
    let session = Session::with(harness, Plan::new().classic("inbox")).await;
    let other = Session::open(harness).await;
    let mut receiver = session.receiver("inbox", 10).await;
    let (one, mut two) = (session.sender().await, session.sender().await);
    one.close().await;
    other.close().await;
    two.publish(&numbered("inbox", 0..3)).await;
    assert_ids("both channels live", &receiver.take(3).await, numbers(0..3));
    assert_eq!(session.connection.state(), ConnectionState::Open);
    session.close().await;
}

/// The address says where the broker is, and no password.
pub async fn an_address_holds_no_password(harness: &impl Harness) {
    let transport = harness.broker().transport().expect("the broker has an address");
    // It can be asked for before there is a connection, and does not change with one.
    let address = transport.address();
    Session::open(harness).await.close().await;
    assert_eq!(address, transport.address());
    assert!(!address.is_empty(), "the address says something");
    let user_info = address.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
    let password = user_info.and_then(|(user_info, _)| user_info.split_once(':')).map(|(_, password)| password);
    assert!(password.is_none_or(|shown| shown.bytes().all(|byte| byte == b'*')), "`{address}` shows a password");
}
