//! Somebody else on the broker of a [`Test`](rabbitry::testing::Test), whichever it is: publishes and takes plain messages.

use std::{collections::BTreeMap, sync::Arc};

use rabbitry::{
    Broker, Clock, Exchange, ExchangeKind, SystemClock, Topology,
    topology::{Argument, Binding, Destination, Queue, QueueType},
    transport::{
        Confirmed, Connection, ConsumeChannel, Delivery, HeaderValue, Message, Properties, Returned, Settlement,
        TransportError,
    },
};

use crate::within;

/// A connection, and what it is used for.
#[allow(missing_debug_implementations)]
pub struct Stranger {
    connection: Arc<dyn Connection>,
}

impl Stranger {
    /// Connects.
    pub async fn on(broker: &Broker) -> Self {
        let transport = broker.transport().expect("the broker can be used");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let connection = within("connecting", transport.connect("stranger", &clock)).await.expect("it connects");
        Self { connection }
    }

    /// Declares an exchange.
    pub async fn declare_exchange(&self, name: &str, kind: ExchangeKind) {
        let mut topology = Topology::default();
        topology.exchanges.push(Exchange::named(name, kind));
        self.declare(&topology).await;
    }

    /// Declares a queue and binds it.
    pub async fn declare_queue(&self, name: &str, kind: QueueType, exchange: &str, key: &str) {
        self.declare_queue_with(name, kind, &[], Some((exchange, key))).await;
    }

    /// Declares a queue with arguments, and binds it to an exchange by a key if there is one.
    pub async fn declare_queue_with(
        &self,
        name: &str,
        kind: QueueType,
        arguments: &[(&str, Argument)],
        binding: Option<(&str, &str)>,
    ) {
        let mut topology = Topology::default();
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        topology.queues.push(Queue::named(name, kind, arguments));
        let destination = || Destination::Queue(name.to_owned());
        topology.bindings.extend(binding.map(|(exchange, key)| Binding::new(exchange, destination(), key)));
        self.declare(&topology).await;
    }

    async fn declare(&self, topology: &Topology) {
        let declared = self.connection.declare(topology, rabbitry::TopologyMode::Declare);
        within("declaring", declared).await.expect("all of it is declared");
    }

    /// Binds a queue, by an empty key.
    pub async fn bind(&self, exchange: &str, queue: &str) {
        let mut topology = Topology::default();
        topology.bindings.push(Binding::new(exchange, Destination::Queue(queue.to_owned()), ""));
        self.declare(&topology).await;
    }

    /// Publishes a message, and returns once it is confirmed and in a queue at least.
    pub async fn publish(&self, exchange: &str, routing_key: &str, properties: Properties, body: &[u8]) {
        let answer = self.send(exchange, routing_key, properties, body).await;
        assert!(matches!(answer, (Confirmed::Ack, None)), "not stored: {answer:?}");
    }

    /// Publishes a message that no queue is bound for.
    pub async fn publish_unheard(&self, exchange: &str, routing_key: &str, properties: Properties, body: &[u8]) {
        let answer = self.send(exchange, routing_key, properties, body).await;
        assert!(matches!(answer, (Confirmed::Ack, Some(_))), "not returned: {answer:?}");
    }

    async fn send(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: Properties,
        body: &[u8],
    ) -> (Confirmed, Option<Returned>) {
        self.try_send(exchange, routing_key, properties, body).await.expect("the broker answers")
    }

    /// Whether there is an exchange of this name.
    pub async fn has_exchange(&self, name: &str) -> bool {
        self.try_send(name, "", Properties::default(), b"").await.is_ok()
    }

    async fn try_send(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: Properties,
        body: &[u8],
    ) -> Result<(Confirmed, Option<Returned>), TransportError> {
        let (exchange, routing_key) = (exchange.into(), routing_key.into());
        let message = Message { exchange, routing_key, properties, body: body.to_vec().into() };
        let mut channel = self.connection.publish_channel().await.expect("a channel opens");
        let mut written = channel.write(vec![(&message, true)]).await;
        let confirm = written.remove(0).expect("it is written");
        let answer = within("a confirm", confirm).await?;
        channel.close().await.expect("the channel closes");
        Ok(answer)
    }

    /// Publishes an event without an envelope: a JSON body, its id, and its name as the routing key.
    pub async fn publish_bare(&self, exchange: &str, name: &str, id: &str, data: &serde_json::Value) {
        let (message_id, kind) = (Some(id.into()), Some(name.into()));
        let properties = Properties { message_id, kind, ..Properties::default() };
        self.publish(exchange, name, properties, data.to_string().as_bytes()).await;
    }

    /// Takes the next `count` messages of a queue, however long they take within the deadline.
    pub async fn receive(&self, queue: &str, count: usize) -> Vec<Delivery> {
        self.next(queue, count, true).await
    }

    /// The same, and what came in the messages alone.
    pub async fn take(&self, queue: &str, count: usize) -> Vec<Message> {
        self.receive(queue, count).await.into_iter().map(|delivery| delivery.message).collect()
    }

    /// Looks at the next `count` messages of a queue and gives them back.
    pub async fn look(&self, queue: &str, count: usize) -> Vec<Delivery> {
        self.next(queue, count, false).await
    }

    /// Has so many messages of a queue in hand, and takes no more. Closing gives them back.
    pub async fn hold(&self, queue: &str, count: usize) -> Box<dyn ConsumeChannel> {
        let mut channel = self.consume(queue, count).await;
        for number in 1..=count {
            within(format!("message {number} of {count} from {queue}"), next(&mut channel)).await;
        }
        channel.stop().await.expect("the consumer ends");
        channel
    }

    /// Takes the first message of a queue and puts it back, so many times: a delivery each, and none beyond.
    pub async fn put_back(&self, queue: &str, times: usize) -> Delivery {
        let mut channel = self.consume(queue, 1).await;
        let mut time = 1;
        loop {
            let delivery = within(format!("delivery {time} of {times} from {queue}"), next(&mut channel)).await;
            if time == times {
                // Only now that nobody consumes: else it would be delivered once more.
                channel.stop().await.expect("the consumer ends");
            }
            channel.settle(vec![Settlement::Requeue(delivery.tag)]).await.expect("it is put back");
            if time == times {
                channel.close().await.expect("the channel closes");
                return delivery;
            }
            time += 1;
        }
    }

    /// Takes what a queue gives and puts it back, again and again, until something has happened; says how often.
    pub async fn put_back_until(&self, queue: &str, happened: impl Future<Output = ()>) -> usize {
        let mut channel = self.consume(queue, 1).await;
        let (mut times, mut happened) = (0, std::pin::pin!(happened));
        loop {
            let delivery = tokio::select! {
                delivery = next(&mut channel) => delivery,
                () = &mut happened => break,
            };
            times += 1;
            assert!(times < 100, "the broker delivers it for ever");
            channel.settle(vec![Settlement::Requeue(delivery.tag)]).await.expect("it is put back");
        }
        channel.stop().await.expect("the consumer ends");
        // What was on its way was delivered, too.
        while let Some(delivery) = channel.next().await.expect("it lives") {
            times += 1;
            channel.settle(vec![Settlement::Requeue(delivery.tag)]).await.expect("it is put back");
        }
        channel.close().await.expect("the channel closes");
        times
    }

    async fn consume(&self, queue: &str, prefetch: usize) -> Box<dyn ConsumeChannel> {
        let mut channel = self.connection.consume_channel(queue.to_owned()).await.expect("a channel opens");
        let prefetch = u16::try_from(prefetch).expect("no more than that");
        channel.consume(prefetch).await.expect("the queue can be consumed");
        channel
    }

    async fn next(&self, queue: &str, count: usize, take: bool) -> Vec<Delivery> {
        let mut received = Vec::with_capacity(count);
        if count == 0 {
            return received;
        }
        // Whatever more there is stays in the queue.
        let mut channel = self.consume(queue, count).await;
        while received.len() < count {
            let what = format!("message {} of {count} from {queue}", received.len() + 1);
            received.push(within(what, next(&mut channel)).await);
        }
        if let (true, Some(last)) = (take, received.last()) {
            channel.settle(vec![Settlement::AckUpTo(last.tag)]).await.expect("they are acknowledged");
        }
        channel.stop().await.expect("the consumer ends");
        channel.close().await.expect("the channel closes");
        received
    }

    /// Deletes a queue.
    pub async fn delete_queue(&self, name: &str) {
        within("deleting", self.connection.delete_queue(name)).await.expect("it is deleted");
    }

    /// How many messages wait in a queue.
    pub async fn count(&self, queue: &str) -> u64 {
        self.count_if_any(queue).await.expect("the queue is there")
    }

    /// The same; `None` if there is no such queue, or if it is a connection's own.
    pub async fn count_if_any(&self, queue: &str) -> Option<u64> {
        match within("counting", self.connection.count(queue)).await {
            Ok(count) => Some(count),
            Err(TransportError::Refused { code: 404 | 405, .. }) => None,
            Err(error) => panic!("counting {queue}: {error}"),
        }
    }
}

async fn next(channel: &mut Box<dyn ConsumeChannel>) -> Delivery {
    let next = channel.next().await;
    next.expect("the channel lives").expect("the consumer goes on")
}

/// A message's id; empty if it has none.
#[must_use]
pub fn id(message: &Message) -> String {
    message.properties.message_id.clone().unwrap_or_default().into()
}

/// A header's text; empty if there is none, or if it is no text.
#[must_use]
pub fn text(message: &Message, header: &str) -> String {
    match message.properties.headers.get(header) {
        Some(HeaderValue::Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

/// A header's number.
#[must_use]
pub fn integer(message: &Message, header: &str) -> Option<i64> {
    match message.properties.headers.get(header)? {
        HeaderValue::I64(number) => Some(*number),
        HeaderValue::I32(number) => Some((*number).into()),
        _ => None,
    }
}

/// A body as JSON; `null` if it is none.
#[must_use]
pub fn json(message: &Message) -> serde_json::Value {
    serde_json::from_slice(&message.body).unwrap_or_default()
}

/// Headers of texts.
#[must_use]
pub fn texts(headers: &[(&str, &str)]) -> BTreeMap<String, HeaderValue> {
    headers.iter().map(|(name, text)| ((*name).to_owned(), HeaderValue::Text(text.as_bytes().to_vec()))).collect()
}
