//! One of the two brokers, and what a sequence has of it.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures_util::FutureExt;
use rabbitry::{
    Broker, Clock, Exchange, SystemClock, Topology, TopologyMode,
    testing::MemoryBroker,
    topology::{Argument, Arguments, Binding, Destination, Queue},
    transport::{
        Connection, ConsumeChannel, Message, Properties, PublishChannel, Settlement, Transport, TransportError,
    },
};
use rabbitry_tests::within;

use super::{
    observed::{is_3, shown},
    sequence::{Operation, Plan, TTL_MS, Target},
};

/// How long RabbitMQ may take to come to where the memory broker is.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Side {
    transport: Arc<dyn Transport>,
    /// Whose hands let time pass, if it is the memory broker.
    memory: Option<MemoryBroker>,
    connection: Arc<dyn Connection>,
    publishing: Box<dyn PublishChannel>,
    consumers: BTreeMap<usize, Consumer>,
    exchanges: Vec<String>,
    queues: Vec<String>,
    seed: u64,
}

struct Consumer {
    channel: Box<dyn ConsumeChannel>,
    /// What it has and did not settle.
    hand: Vec<u64>,
}

/// Where a broker has come to: what each consumer has got since the last time, and how many messages wait in each queue.
#[derive(Debug, Default, PartialEq)]
pub(super) struct State {
    deliveries: BTreeMap<usize, Vec<String>>,
    waiting: Vec<u64>,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting {:?}", self.waiting)?;
        for (queue, deliveries) in &self.deliveries {
            for delivery in deliveries {
                write!(f, "\n           from queue {queue}: {delivery}")?;
            }
        }
        Ok(())
    }
}

async fn connect(transport: &Arc<dyn Transport>) -> (Arc<dyn Connection>, Box<dyn PublishChannel>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connection = within("connecting", transport.connect("differential", &clock)).await.expect("it connects");
    let publishing = connection.publish_channel().await.expect("a channel opens");
    (connection, publishing)
}

impl Side {
    pub(super) async fn new(broker: Broker, memory: Option<MemoryBroker>, seed: u64) -> Self {
        let transport = broker.transport().expect("the broker can be used");
        let (connection, publishing) = connect(&transport).await;
        let (consumers, exchanges, queues) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { transport, memory, connection, publishing, consumers, exchanges, queues, seed }
    }

    pub(super) async fn declare(&mut self, plan: &Plan) {
        let mut topology = Topology::default();
        for (name, kind, alternate) in &plan.exchanges {
            let mut exchange = Exchange::named(name, *kind);
            if let Some(alternate) = alternate {
                exchange.arguments.insert("alternate-exchange".to_owned(), Argument::from(alternate.as_str()));
            }
            topology.exchanges.push(exchange);
            self.exchanges.push(name.clone());
        }
        for queue in &plan.queues {
            topology.queues.push(Queue::named(&queue.name, queue.kind, queue.arguments.clone()));
            self.queues.push(queue.name.clone());
        }
        for (source, target, key) in &plan.bindings {
            let destination = match target {
                Target::Queue(name) => Destination::Queue(name.clone()),
                Target::Exchange(name) => Destination::Exchange(name.clone()),
            };
            topology.bindings.push(Binding::new(source, destination, key));
        }
        let declared = self.connection.declare(&topology, TopologyMode::Declare);
        within("declaring", declared).await.unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
    }

    /// Does it, and says what is answered.
    pub(super) async fn perform(&mut self, operation: &Operation) -> String {
        match operation {
            Operation::Publish { exchange, key, number, mandatory } => {
                let missing = || format!("{}-missing", self.seed);
                let exchange = exchange.map_or_else(missing, |place| self.exchanges[place].clone());
                self.publish(&exchange, key, *number, false, *mandatory).await
            }
            Operation::PublishLate { number } => {
                let exchange = self.exchanges.last().cloned().unwrap_or_default();
                let answer = self.publish(&exchange, "late", *number, false, false).await;
                self.pass().await;
                answer
            }
            Operation::Send { queue, number, expires } => {
                let queue = self.queues[*queue].clone();
                let answer = self.publish("", &queue, *number, *expires, false).await;
                if *expires {
                    self.pass().await;
                }
                answer
            }
            Operation::Consume { queue, prefetch } => self.consume(*queue, *prefetch).await,
            Operation::Ack { queue, place } => self.settle(*queue, *place, Settlement::Ack).await,
            Operation::AckUpTo { queue, place } => self.settle(*queue, *place, Settlement::AckUpTo).await,
            Operation::Requeue { queue, place } => self.settle(*queue, *place, Settlement::Requeue).await,
            Operation::Reject { queue, place } => self.settle(*queue, *place, Settlement::Reject).await,
            Operation::AckUnknown { queue } => self.ack_unknown(*queue).await,
            Operation::Stop { queue } => self.stop(*queue).await,
            Operation::CloseChannel { queue } => match self.consumers.remove(queue) {
                Some(consumer) => said(&within("closing", consumer.channel.close()).await),
                None => "no consumer".to_owned(),
            },
            Operation::CloseConnection => {
                self.consumers.clear();
                self.connection.close().await;
                (self.connection, self.publishing) = connect(&self.transport).await;
                "connected again".to_owned()
            }
            Operation::DeclareOtherwise { queue } => {
                let mut topology = Topology::default();
                let arguments = Arguments::from([("x-max-length".to_owned(), Argument::Integer(77))]);
                let kind = rabbitry::QueueType::Classic;
                topology.queues.push(Queue::named(&self.queues[*queue], kind, arguments));
                let declared = self.connection.declare(&topology, TopologyMode::Declare);
                said(&within("declaring", declared).await)
            }
        }
    }

    async fn publish(&mut self, exchange: &str, key: &str, number: u64, expires: bool, mandatory: bool) -> String {
        let message = Message {
            exchange: exchange.into(),
            routing_key: key.into(),
            properties: Properties {
                message_id: Some(number.to_string().into()),
                delivery_mode: Some(2),
                expiration: expires.then(|| TTL_MS.to_string().into()),
                ..Properties::default()
            },
            body: number.to_string().into_bytes().into(),
        };
        let mut written = self.publishing.write(vec![(&message, mandatory)]).await;
        let answer = match written.remove(0) {
            Ok(confirm) => within("a confirm", confirm).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok((confirmed, returned)) => format!("{confirmed:?} {:?}", returned.map(|returned| returned.message_id)),
            Err(error) => {
                // A channel error can cost the connection; the memory broker is treated alike.
                self.consumers.clear();
                self.connection.close().await;
                (self.connection, self.publishing) = connect(&self.transport).await;
                said::<()>(&Err(error))
            }
        }
    }

    /// All that has a limit of time is beyond it.
    async fn pass(&mut self) {
        let passes = Duration::from_millis(TTL_MS);
        match &self.memory {
            Some(memory) => memory.pass(passes),
            None => tokio::time::sleep(passes).await,
        }
    }

    async fn consume(&mut self, queue: usize, prefetch: u16) -> String {
        if let Some(consumer) = self.consumers.get_mut(&queue) {
            return if consumer.channel.is_open() { "consumes already".to_owned() } else { "lost".to_owned() };
        }
        let opened = self.connection.consume_channel(self.queues[queue].clone()).await;
        let mut channel = opened.expect("a channel opens");
        let answer = within("consuming", channel.consume(prefetch)).await;
        let said = said(&answer);
        if answer.is_ok() {
            self.consumers.insert(queue, Consumer { channel, hand: Vec::new() });
        }
        said
    }

    async fn settle(&mut self, queue: usize, place: usize, how: fn(u64) -> Settlement) -> String {
        let Some(consumer) = self.consumers.get_mut(&queue) else { return "no consumer".to_owned() };
        let Some(tag) = consumer.hand.get(place).copied() else { return "nothing there".to_owned() };
        let settlement = how(tag);
        match settlement {
            Settlement::AckUpTo(_) => consumer.hand.retain(|other| *other > tag),
            _ => consumer.hand.retain(|other| *other != tag),
        }
        said(&within("settling", consumer.channel.settle(vec![settlement])).await)
    }

    async fn ack_unknown(&mut self, queue: usize) -> String {
        let Some(consumer) = self.consumers.remove(&queue) else { return "no consumer".to_owned() };
        // Some brokers say no, others just close the channel: gone it is.
        let mut channel = consumer.channel;
        let _ = within("settling", channel.settle(vec![Settlement::Ack(1_000_000)])).await;
        let gone = within("the end of the channel", async {
            loop {
                match channel.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return "stopped",
                    Err(_) => return "gone",
                }
            }
        });
        let answer = gone.await.to_owned();
        drop(channel);
        // The channel's end may be the connection's.
        self.consumers.clear();
        self.connection.close().await;
        (self.connection, self.publishing) = connect(&self.transport).await;
        if is_3() || answer == "stopped" { "gone".to_owned() } else { answer }
    }

    async fn stop(&mut self, queue: usize) -> String {
        match self.consumers.get_mut(&queue) {
            Some(consumer) => said(&within("stopping", consumer.channel.stop()).await),
            None => "no consumer".to_owned(),
        }
    }

    /// What the memory broker has come to: it is there already.
    pub(super) async fn what_follows(&mut self) -> State {
        let mut state = State::default();
        for queue in self.queues.clone() {
            state.waiting.push(self.connection.count(&queue).await.expect("the queue is there"));
        }
        for (queue, consumer) in &mut self.consumers {
            while let Some(Ok(Some(delivery))) = consumer.channel.next().now_or_never() {
                state.deliveries.entry(*queue).or_default().push(shown(&delivery));
                consumer.hand.push(delivery.tag);
            }
        }
        state
    }

    /// Waits until RabbitMQ is where it is expected; where it is instead.
    pub(super) async fn comes_to(&mut self, expected: &State) -> Result<(), State> {
        let mut seen = State::default();
        let coming = async {
            for (queue, deliveries) in &expected.deliveries {
                let Some(consumer) = self.consumers.get_mut(queue) else { break };
                for _ in deliveries {
                    let Ok(Some(delivery)) = consumer.channel.next().await else { return };
                    seen.deliveries.entry(*queue).or_default().push(shown(&delivery));
                    consumer.hand.push(delivery.tag);
                }
            }
            loop {
                seen.waiting.clear();
                for queue in &self.queues {
                    match self.connection.count(queue).await {
                        Ok(count) => seen.waiting.push(count),
                        Err(_) => return,
                    }
                }
                if seen.waiting == expected.waiting {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, coming).await;
        // And nothing beyond.
        for (queue, consumer) in &mut self.consumers {
            while let Some(Ok(Some(delivery))) = consumer.channel.next().now_or_never() {
                seen.deliveries.entry(*queue).or_default().push(format!("unexpected: {}", shown(&delivery)));
            }
        }
        if seen == *expected { Ok(()) } else { Err(seen) }
    }

    pub(super) async fn end(self) {
        drop(self.consumers);
        self.connection.close().await;
    }
}

/// An answer, as far as brokers have it in common.
fn said<T>(answer: &Result<T, TransportError>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(TransportError::Refused { code, .. }) => format!("refused {code}"),
        Err(TransportError::Lost { .. }) => "lost".to_owned(),
        Err(TransportError::Away { .. }) => "away".to_owned(),
        Err(TransportError::Unwritable { .. }) => "unwritable".to_owned(),
    }
}
