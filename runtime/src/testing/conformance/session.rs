//! What the scenarios share: a connection that declares, publishes and receives, and fails with what it saw.

use std::{future::poll_fn, panic::Location, sync::Arc, task::Poll, time::Duration};

use super::{
    Harness,
    checks::{id, ids, to},
};
use crate::{
    topology::{Topology, TopologyMode},
    transport::{
        Answer, Confirm, Confirmed, Connection, ConsumeChannel, Delivery, Message, PublishChannel, Settlement,
        TransportError,
    },
};

/// How long anything may take that is expected to happen. Generous, since only a failure waits for it.
pub(super) const DEADLINE: Duration = Duration::from_secs(90);

/// What the future gives, within the deadline.
#[track_caller]
pub(super) fn within<T>(what: impl Into<String>, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let (what, caller) = (what.into(), Location::caller());
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{caller}: {what}: nothing happened within {DEADLINE:?}"),
        }
    }
}

/// Looks again and again until a condition holds that nobody announces.
#[track_caller]
pub(super) fn eventually(
    what: impl Into<String>,
    mut condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    within(what, async move {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

/// One connection to the harness's broker.
pub(super) struct Session {
    pub(super) connection: Arc<dyn Connection>,
}

impl Session {
    pub(super) async fn open(harness: &impl Harness) -> Self {
        Self { connection: connect(harness).await }
    }

    /// One that has declared a topology.
    pub(super) async fn with(harness: &impl Harness, topology: impl Into<Topology>) -> Self {
        let session = Self::open(harness).await;
        session.declare(topology).await;
        session
    }

    #[track_caller]
    pub(super) fn declare(&self, topology: impl Into<Topology>) -> impl Future<Output = ()> {
        let (topology, caller) = (topology.into(), Location::caller());
        async move {
            let declared = self.try_declare(&topology, TopologyMode::Declare).await;
            declared.unwrap_or_else(|error| panic!("{caller}: the topology is declared, but: {error}"));
        }
    }

    pub(super) async fn try_declare(&self, topology: &Topology, mode: TopologyMode) -> Result<(), TransportError> {
        within("declaring", self.connection.declare(topology, mode)).await
    }

    pub(super) async fn sender(&self) -> Sender {
        let channel = within("opening a channel", self.connection.publish_channel()).await;
        Sender { channel: channel.expect("a channel that publishes opens") }
    }

    /// A channel that does not consume yet.
    pub(super) async fn idle_receiver(&self, queue: &str) -> Receiver {
        let channel = within("opening a channel", self.connection.consume_channel(queue.to_owned())).await;
        Receiver { channel: channel.expect("a channel that consumes opens"), queue: queue.to_owned() }
    }

    pub(super) async fn receiver(&self, queue: &str, prefetch: u16) -> Receiver {
        let mut receiver = self.idle_receiver(queue).await;
        receiver.consume(prefetch).await.unwrap_or_else(|error| panic!("`{queue}` is consumed, but: {error}"));
        receiver
    }

    /// Publishes, and returns once each is stored somewhere.
    #[track_caller]
    pub(super) fn publish(&self, messages: impl IntoIterator<Item = Message>) -> impl Future<Output = ()> {
        let (messages, caller): (Vec<_>, _) = (messages.into_iter().collect(), Location::caller());
        async move {
            let mut sender = self.sender().await;
            sender.publish_at(caller, &messages).await;
            sender.close().await;
        }
    }

    pub(super) async fn count(&self, queue: &str) -> u64 {
        self.try_count(queue).await.unwrap_or_else(|error| panic!("`{queue}` is counted, but: {error}"))
    }

    pub(super) async fn try_count(&self, queue: &str) -> Result<u64, TransportError> {
        within("counting", self.connection.count(queue)).await
    }

    /// Waits until so many messages are ready in a queue.
    #[track_caller]
    pub(super) fn until_count(&self, queue: &str, messages: u64) -> impl Future<Output = ()> {
        eventually(format!("{messages} messages in `{queue}`"), async move || self.count(queue).await == messages)
    }

    /// Takes this many messages off a queue and acknowledges them.
    #[track_caller]
    pub(super) fn take(&self, queue: &str, count: usize) -> impl Future<Output = Vec<Delivery>> {
        let caller = Location::caller();
        async move {
            // Whatever more there is stays.
            let mut receiver = self.receiver(queue, u16::try_from(count.max(1)).unwrap_or(u16::MAX)).await;
            let taken = receiver.take_at(caller, count).await;
            if let Some(last) = taken.last() {
                receiver.settle([Settlement::AckUpTo(last.tag)]).await;
            }
            receiver.finish().await;
            taken
        }
    }

    /// Takes all messages that are in a queue now, by one that is put behind them.
    #[track_caller]
    pub(super) fn drain(&self, queue: &str) -> impl Future<Output = Vec<Delivery>> {
        let caller = Location::caller();
        async move {
            self.publish([to(queue, END)]).await;
            let mut receiver = self.receiver(queue, 0).await;
            let mut taken = Vec::new();
            loop {
                let delivery = receiver.next_at(caller).await;
                receiver.settle([Settlement::Ack(delivery.tag)]).await;
                if id(&delivery) == END {
                    receiver.finish().await;
                    return taken;
                }
                taken.push(delivery);
            }
        }
    }

    pub(super) async fn close(&self) {
        within("closing the connection", self.connection.close()).await;
    }
}

/// The id of the message that tells [`Session::drain`] where to end.
const END: &str = "the end";

pub(super) async fn connect(harness: &impl Harness) -> Arc<dyn Connection> {
    let transport = harness.broker().transport().expect("the harness's broker has an address that can be used");
    let clock = harness.clock();
    let connecting = within("connecting", transport.connect("conformance", &clock)).await;
    connecting.unwrap_or_else(|error| panic!("a connection is made, but: {error}"))
}

/// A channel that publishes.
pub(super) struct Sender {
    pub(super) channel: Box<dyn PublishChannel>,
}

impl Sender {
    /// Publishes, and returns once each is stored somewhere.
    #[track_caller]
    pub(super) fn publish(&mut self, messages: &[Message]) -> impl Future<Output = ()> {
        self.publish_at(Location::caller(), messages)
    }

    async fn publish_at(&mut self, caller: &Location<'_>, messages: &[Message]) {
        for (message, answer) in messages.iter().zip(self.answers(messages, true).await) {
            let name = message.properties.message_id.as_deref().unwrap_or_default();
            match answer {
                Ok((Confirmed::Ack, None)) => {}
                other => panic!("{caller}: message `{name}` is stored, but the broker answered {other:?}"),
            }
        }
    }

    /// Writes messages and waits for the answer to each, in the order of the messages.
    pub(super) async fn answers(&mut self, messages: &[Message], mandatory: bool) -> Vec<Answer> {
        let batch: Vec<_> = messages.iter().map(|message| (message, mandatory)).collect();
        let mut answers = Vec::with_capacity(messages.len());
        for confirm in self.write(batch).await {
            answers.push(match confirm {
                Ok(confirm) => within("a confirm", confirm).await,
                Err(error) => Err(error),
            });
        }
        answers
    }

    /// The answer to one message.
    pub(super) async fn answer(&mut self, message: &Message, mandatory: bool) -> Answer {
        self.answers(std::slice::from_ref(message), mandatory).await.pop().expect("there is one result for one message")
    }

    pub(super) async fn write(&mut self, batch: Vec<(&Message, bool)>) -> Vec<Result<Confirm, TransportError>> {
        let written = batch.len();
        let confirms = within("writing", self.channel.write(batch)).await;
        assert_eq!(confirms.len(), written, "there is one result for each message");
        confirms
    }

    pub(super) async fn close(self) {
        within("closing a channel", self.channel.close()).await.expect("the channel closes");
    }
}

/// A channel that consumes.
pub(super) struct Receiver {
    pub(super) channel: Box<dyn ConsumeChannel>,
    queue: String,
}

impl Receiver {
    pub(super) async fn consume(&mut self, prefetch: u16) -> Result<(), TransportError> {
        within("consuming", self.channel.consume(prefetch)).await
    }

    /// What comes next: a delivery, the end or an error.
    #[track_caller]
    pub(super) fn polled(&mut self) -> impl Future<Output = Result<Option<Delivery>, TransportError>> {
        within(format!("the next delivery from `{}`", self.queue), self.channel.next())
    }

    /// The next delivery.
    #[track_caller]
    pub(super) fn next(&mut self) -> impl Future<Output = Delivery> {
        self.next_at(Location::caller())
    }

    async fn next_at(&mut self, caller: &Location<'_>) -> Delivery {
        match self.polled().await {
            Ok(Some(delivery)) => delivery,
            other => panic!("{caller}: `{}` gives a delivery, but it gave {other:?}", self.queue),
        }
    }

    /// The next deliveries.
    #[track_caller]
    pub(super) fn take(&mut self, count: usize) -> impl Future<Output = Vec<Delivery>> {
        self.take_at(Location::caller(), count)
    }

    async fn take_at(&mut self, caller: &Location<'_>, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            match tokio::time::timeout(DEADLINE, self.channel.next()).await {
                Ok(Ok(Some(delivery))) => taken.push(delivery),
                other => panic!(
                    "{caller}: `{}` gives {count} deliveries, but after {:?} came {other:?}",
                    self.queue,
                    ids(&taken)
                ),
            }
        }
        taken
    }

    /// What is there already.
    pub(super) async fn at_once(&mut self) -> Option<Delivery> {
        match poll_fn(|context| Poll::Ready(self.channel.poll_next(context))).await {
            Poll::Pending => None,
            Poll::Ready(Ok(Some(delivery))) => Some(delivery),
            Poll::Ready(other) => panic!("`{}` gives nothing or a delivery, but it gave {other:?}", self.queue),
        }
    }

    /// Fails if something is there already.
    #[track_caller]
    pub(super) fn expect_nothing<'a>(&'a mut self, why: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = Location::caller();
        async move {
            if let Some(delivery) = self.at_once().await {
                panic!("{caller}: nothing comes ({why}), but `{}` gave `{}`", self.queue, id(&delivery));
            }
        }
    }

    pub(super) async fn settle(&self, settlements: impl IntoIterator<Item = Settlement>) {
        self.try_settle(settlements).await.expect("the settlements are written");
    }

    pub(super) async fn try_settle(
        &self,
        settlements: impl IntoIterator<Item = Settlement>,
    ) -> Result<(), TransportError> {
        within("settling", self.channel.settle(settlements.into_iter().collect())).await
    }

    pub(super) async fn stop(&mut self) {
        within("stopping", self.channel.stop()).await.expect("the channel stops");
    }

    /// Closes; what is not settled goes back.
    pub(super) async fn close(self) {
        within("closing a channel", self.channel.close()).await.expect("the channel closes");
    }

    /// Closes when all settlements are proven to be taken.
    pub(super) async fn finish(mut self) {
        self.stop().await;
        self.close().await;
    }
}

/// The delivery that is due after `delay` in the broker: not before, and soon after.
#[track_caller]
pub(super) fn due<'a>(
    harness: &'a impl Harness,
    receiver: &'a mut Receiver,
    published: std::time::SystemTime,
    delay: Duration,
) -> impl Future<Output = Delivery> + 'a {
    const MARGIN: Duration = Duration::from_millis(100);
    let caller = Location::caller();
    async move {
        let waited = || harness.clock().now().duration_since(published).unwrap_or_default();
        harness.pass(delay.saturating_sub(MARGIN + waited())).await;
        let early = receiver.at_once().await;
        if early.is_none() {
            harness.pass(MARGIN + MARGIN).await;
        }
        let delivery = match early {
            Some(early) => early,
            None => receiver.next_at(caller).await,
        };
        // A broker counts in milliseconds; the rest is what two clocks may differ by.
        let waited = waited() + Duration::from_millis(20);
        assert!(waited >= delay, "{caller}: `{}` is due after {delay:?}, but came after {waited:?}", id(&delivery));
        delivery
    }
}
