//! A plain AMQP client: the rest of the world, that knows nothing of rabbitry.

use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeUnbindOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};

use crate::within;

/// The value of a header or of an argument.
pub use lapin::types::AMQPValue as Header;

/// A connection with one channel, confirmed.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    channel: Channel,
}

/// A message as it came.
#[derive(Debug)]
pub struct Raw {
    /// The exchange that it was sent to last.
    pub exchange: String,
    /// The routing key that it was sent with last.
    pub routing_key: String,
    /// Its properties.
    pub properties: BasicProperties,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether the broker says that it was delivered before.
    pub redelivered: bool,
}

impl Raw {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&AMQPValue> {
        self.properties.headers().as_ref()?.inner().get(name)
    }

    /// A header's text; empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        match self.header(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            Some(AMQPValue::ShortString(text)) => text.to_string(),
            Some(other) => format!("{other:?}"),
            None => String::new(),
        }
    }

    /// A header's number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.header(name)? {
            AMQPValue::LongLongInt(number) => Some(*number),
            AMQPValue::LongInt(number) => Some((*number).into()),
            _ => None,
        }
    }

    /// Its property `message_id`; empty if there is none.
    #[must_use]
    pub fn id(&self) -> String {
        self.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// Its body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Client {
    /// Connects.
    pub async fn connect(url: &str) -> Self {
        let connecting = Connection::connect(url, ConnectionProperties::default());
        let connection = within("connecting", connecting).await.expect("the broker takes a connection");
        let channel = connection.create_channel().await.expect("the broker opens a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("the broker confirms");
        Self { connection, channel }
    }

    /// Declares a durable topic exchange.
    pub async fn declare_exchange(&self, name: &str, kind: lapin::ExchangeKind) {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let declared = self.channel.exchange_declare(name.into(), kind, options, FieldTable::default());
        declared.await.expect("the exchange is declared");
    }

    /// Declares a durable classic queue and binds it.
    pub async fn declare_queue(&self, name: &str, exchange: &str, key: &str) {
        self.declare_queue_with(name, &[]).await;
        self.bind(name, exchange, key).await;
    }

    /// Declares a durable queue with arguments.
    pub async fn declare_queue_with(&self, name: &str, arguments: &[(&str, Header)]) {
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        let declared = self.channel.queue_declare(name.into(), options, table(arguments));
        declared.await.expect("the queue is declared");
    }

    /// Binds a queue.
    pub async fn bind(&self, queue: &str, exchange: &str, key: &str) {
        self.bind_with(queue, exchange, key, &[]).await;
    }

    /// Binds a queue by headers.
    pub async fn bind_with(&self, queue: &str, exchange: &str, key: &str, arguments: &[(&str, Header)]) {
        let options = QueueBindOptions::default();
        let bound = self.channel.queue_bind(queue.into(), exchange.into(), key.into(), options, table(arguments));
        bound.await.expect("the queue is bound");
    }

    /// Removes a binding of a queue.
    pub async fn unbind(&self, queue: &str, exchange: &str, key: &str) {
        self.unbind_with(queue, exchange, key, &[]).await;
    }

    /// Removes a binding of a queue by headers.
    pub async fn unbind_with(&self, queue: &str, exchange: &str, key: &str, arguments: &[(&str, Header)]) {
        let unbound = self.channel.queue_unbind(queue.into(), exchange.into(), key.into(), table(arguments));
        unbound.await.expect("the binding is removed");
    }

    /// Removes a binding of an exchange to another, its source.
    pub async fn unbind_exchange(&self, exchange: &str, source: &str, key: &str) {
        let options = ExchangeUnbindOptions::default();
        let unbound =
            self.channel.exchange_unbind(exchange.into(), source.into(), key.into(), options, FieldTable::default());
        unbound.await.expect("the binding is removed");
    }

    /// Publishes with properties, and returns once it is confirmed.
    pub async fn publish(&self, exchange: &str, key: &str, properties: BasicProperties, body: &[u8]) {
        self.publish_all(exchange, key, [(properties, body.to_vec())]).await;
    }

    /// Publishes an event in the format without an envelope: a JSON body, its id, and its name as the routing key.
    pub async fn publish_bare(&self, exchange: &str, name: &str, id: &str, data: &serde_json::Value) {
        let properties = BasicProperties::default().with_message_id(id.into()).with_type(name.into());
        self.publish(exchange, name, properties, data.to_string().as_bytes()).await;
    }

    /// Publishes many, and returns once all are confirmed.
    pub async fn publish_all(
        &self,
        exchange: &str,
        key: &str,
        messages: impl IntoIterator<Item = (BasicProperties, Vec<u8>)>,
    ) {
        let mut confirms = Vec::new();
        for (properties, body) in messages {
            let options = BasicPublishOptions::default();
            let sent = self.channel.basic_publish(exchange.into(), key.into(), options, &body, properties);
            confirms.push(sent.await.expect("the message is written"));
        }
        for confirm in confirms {
            let confirmation = within("a confirm", confirm).await.expect("the broker answers");
            assert!(matches!(confirmation, Confirmation::Ack(None)), "not stored: {confirmation:?}");
        }
    }

    /// Takes the first message of a queue, if there is one.
    pub async fn take(&self, queue: &str) -> Option<Raw> {
        let got =
            self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.expect("the queue is there");
        got.map(|got| raw(got.delivery))
    }

    /// Looks at the first message of a queue and puts it back.
    pub async fn look(&self, queue: &str) -> Option<Raw> {
        let got =
            self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("the queue is there")?;
        let options = BasicNackOptions { requeue: true, multiple: false };
        self.channel.basic_nack(got.delivery.delivery_tag, options).await.expect("it is put back");
        Some(raw(got.delivery))
    }

    /// Takes the next `count` messages of a queue, however long they take within the deadline.
    pub async fn receive(&self, queue: &str, count: usize) -> Vec<Raw> {
        let channel = self.connection.create_channel().await.expect("the broker opens a channel");
        // Whatever more there is stays in the queue.
        let prefetch = u16::try_from(count).unwrap_or(u16::MAX);
        channel.basic_qos(prefetch, BasicQosOptions::default()).await.expect("the broker limits");
        let mut consumer: Consumer = channel
            .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
            .expect("the queue can be consumed");
        let mut received = Vec::with_capacity(count);
        while received.len() < count {
            let next = within(format!("message {} of {count} from {queue}", received.len() + 1), consumer.next()).await;
            let delivery = next.expect("the consumer lives").expect("the channel lives");
            received.push((delivery.delivery_tag, raw(delivery)));
        }
        if let Some((tag, _)) = received.last() {
            channel.basic_ack(*tag, BasicAckOptions { multiple: true }).await.expect("they are acknowledged");
        }
        // The answer proves that the acknowledgement was taken.
        channel.basic_cancel(consumer.tag(), Default::default()).await.expect("the consumer ends");
        let _ = channel.close(200, "OK".into()).await;
        received.into_iter().map(|(_, raw)| raw).collect()
    }

    /// How many messages are ready in a queue, by the broker's count; `None` if there is no such queue.
    pub async fn count(&self, queue: &str) -> Option<u32> {
        // A missing queue closes the channel that asks.
        let channel = self.connection.create_channel().await.expect("the broker opens a channel");
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        let count = declared.ok().map(|queue| queue.message_count());
        let _ = channel.close(200, "OK".into()).await;
        count
    }

    /// Closes the connection; dropping the client leaves it open for a while.
    pub async fn close(self) {
        let _ = self.connection.close(200, "OK".into()).await;
    }

    /// Deletes a queue.
    pub async fn delete_queue(&self, queue: &str) {
        self.channel.queue_delete(queue.into(), Default::default()).await.expect("the queue is deleted");
    }

    /// Deletes an exchange.
    pub async fn delete_exchange(&self, exchange: &str) {
        self.channel.exchange_delete(exchange.into(), Default::default()).await.expect("the exchange is deleted");
    }
}

/// A table of headers or arguments.
#[must_use]
pub fn table(entries: &[(&str, Header)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn raw(delivery: lapin::message::Delivery) -> Raw {
    Raw {
        exchange: delivery.exchange.to_string(),
        routing_key: delivery.routing_key.to_string(),
        properties: delivery.properties,
        body: delivery.data,
        redelivered: delivery.redelivered,
    }
}
