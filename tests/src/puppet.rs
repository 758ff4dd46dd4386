//! A broker that only takes messages, and answers when and how the test says: a transport of the tests' own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use rabbitry::{
    Broker, Clock, Topology, TopologyMode,
    topology::Binding,
    transport::{
        Confirm, Confirmed, Connection, ConnectionState, ConsumeChannel, Message, PublishChannel, Returned, Transport,
        TransportError, Usage,
    },
};
use tokio::sync::{oneshot, watch};

use crate::within;

/// What the broker says of one message.
pub type Answer = Result<(Confirmed, Option<Returned>), TransportError>;

/// A broker on strings.
#[derive(Clone, Debug)]
pub struct Puppet(Arc<Strings>);

#[derive(Debug)]
struct Strings {
    /// Why nobody can connect.
    away: Mutex<Option<String>>,
    /// What it says to a topology before it ends the connection.
    refuses_topology: Mutex<Option<TransportError>>,
    /// How many connections were made.
    connections: watch::Sender<usize>,
    /// How the newest connection is; earlier ones are lost.
    connection: watch::Sender<ConnectionState>,
    written: watch::Sender<Vec<Written>>,
    /// The answers that are owed, by the position of the message in `written`.
    owed: Mutex<Vec<(usize, oneshot::Sender<Answer>)>>,
    /// How many channels were opened.
    channels: watch::Sender<usize>,
}

/// A message that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// By which channel: 1, 2, 3, …
    pub channel: usize,
    /// The message's id.
    pub id: String,
}

impl Default for Puppet {
    fn default() -> Self {
        Self(Arc::new(Strings {
            away: Mutex::default(),
            refuses_topology: Mutex::default(),
            connections: watch::Sender::default(),
            connection: watch::Sender::new(ConnectionState::Lost("none was made".to_owned())),
            written: watch::Sender::default(),
            owed: Mutex::default(),
            channels: watch::Sender::default(),
        }))
    }
}

impl Puppet {
    /// What services use.
    #[must_use]
    pub fn broker(&self) -> Broker {
        Broker::new(self.clone())
    }

    /// Takes nothing any more.
    pub fn block(&self, reason: &str) {
        self.0.connection.send_replace(ConnectionState::Blocked(reason.to_owned()));
    }

    /// Takes messages again.
    pub fn unblock(&self) {
        self.0.connection.send_replace(ConnectionState::Open);
    }

    /// Ends the connection. A new one can be made.
    pub fn lose(&self, reason: &str) {
        self.0.connection.send_replace(ConnectionState::Lost(reason.to_owned()));
        let lost = TransportError::Lost { reason: reason.to_owned() };
        self.answer_with(usize::MAX, || Err(lost.clone()));
    }

    /// Ends the connection, and there is no new one.
    pub fn go_away(&self, reason: &str) {
        *lock(&self.0.away) = Some(reason.to_owned());
        self.lose(reason);
    }

    /// A new connection can be made again.
    pub fn come_back(&self) {
        *lock(&self.0.away) = None;
    }

    /// Answers every topology so and ends the connection, as RabbitMQ does where a limit is reached; with `None` it takes it.
    pub fn refuse_topology(&self, answer: Option<TransportError>) {
        *lock(&self.0.refuses_topology) = answer;
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.0.connections.borrow()
    }

    /// Confirms the first so many messages that wait for it, and says whether there were so many.
    pub fn confirm(&self, count: usize) -> bool {
        self.answer_with(count, || Ok((Confirmed::Ack, None)))
    }

    /// Answers the first message that waits for it; how the channel is afterwards is not looked at.
    pub fn answer(&self, answer: &Answer) -> bool {
        self.answer_with(1, || answer.clone())
    }

    /// Answers all that wait.
    pub fn answer_all(&self, answer: &Answer) {
        self.answer_with(usize::MAX, || answer.clone());
    }

    fn answer_with(&self, count: usize, answer: impl Fn() -> Answer) -> bool {
        let mut owed = lock(&self.0.owed);
        let count = count.min(owed.len());
        let answered: Vec<_> = owed.drain(..count).collect();
        drop(owed);
        for (_, owed) in answered {
            // Who gave its channel up waits no more.
            let _ = owed.send(answer());
        }
        count > 0
    }

    /// All that was written.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        self.0.written.borrow().clone()
    }

    /// Waits until so much was written, and returns all.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> impl Future<Output = Vec<Written>> + use<> {
        let mut written = self.0.written.subscribe();
        within(format!("{count} messages are written"), async move {
            written.wait_for(|written| written.len() >= count).await.expect("the puppet lives").clone()
        })
    }

    /// Waits until so many channels were opened.
    #[track_caller]
    pub fn opened(&self, count: usize) -> impl Future<Output = ()> + use<> {
        let mut channels = self.0.channels.subscribe();
        within(format!("{count} channels are opened"), async move {
            channels.wait_for(|channels| *channels >= count).await.expect("the puppet lives");
        })
    }
}

impl Transport for Puppet {
    fn address(&self) -> String {
        "a puppet".to_owned()
    }

    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: &'a Arc<dyn Clock>,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, TransportError>> {
        Box::pin(async move {
            if let Some(reason) = &*lock(&self.0.away) {
                return Err(TransportError::Lost { reason: reason.clone() });
            }
            self.0.connection.send_replace(ConnectionState::Open);
            // So that whoever comes again and again leaves others room.
            tokio::task::yield_now().await;
            self.0.connections.send_modify(|connections| *connections += 1);
            Ok(Arc::new(OnStrings(self.clone())) as Arc<dyn Connection>)
        })
    }
}

struct OnStrings(Puppet);

impl OnStrings {
    fn becomes(&self, wanted: fn(&ConnectionState) -> bool) -> BoxFuture<'static, ()> {
        let mut state = self.0.0.connection.subscribe();
        Box::pin(async move {
            let _ = state.wait_for(wanted).await;
        })
    }
}

fn is_lost(state: &ConnectionState) -> bool {
    matches!(state, ConnectionState::Lost(_))
}

fn is_not_blocked(state: &ConnectionState) -> bool {
    !matches!(state, ConnectionState::Blocked(_))
}

impl Connection for OnStrings {
    fn state(&self) -> ConnectionState {
        self.0.0.connection.borrow().clone()
    }

    fn node(&self) -> String {
        "a puppet".to_owned()
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        self.becomes(is_lost)
    }

    fn unblocked(&self) -> BoxFuture<'static, ()> {
        self.becomes(is_not_blocked)
    }

    fn frame_max(&self) -> usize {
        131_072
    }

    fn declare<'a>(&'a self, _: &'a Topology, _: TopologyMode) -> BoxFuture<'a, Result<(), TransportError>> {
        let refused = lock(&self.0.0.refuses_topology).clone();
        Box::pin(std::future::ready(refused.map_or(Ok(()), |refused| {
            self.0.lose("it refused a topology");
            Err(refused)
        })))
    }

    fn declare_exclusive<'a>(&'a self, _: &'a [Binding]) -> BoxFuture<'a, Result<String, TransportError>> {
        unreachable!("a service without handlers")
    }

    fn unbind<'a>(&'a self, _: &'a Binding) -> BoxFuture<'a, Result<(), TransportError>> {
        unreachable!("a service only publishes")
    }

    fn delete_queue<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        unreachable!("a service only publishes")
    }

    fn delete_exchange<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        unreachable!("a service only publishes")
    }

    fn usage<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Usage, TransportError>> {
        let missing = TransportError::Refused { code: 404, text: format!("no queue '{queue}'") };
        Box::pin(std::future::ready(Err(missing)))
    }

    fn publish_channel(&self) -> BoxFuture<'_, Result<Box<dyn PublishChannel>, TransportError>> {
        let puppet = self.0.clone();
        Box::pin(async move {
            let mut number = 0;
            puppet.0.channels.send_modify(|channels| {
                *channels += 1;
                number = *channels;
            });
            Ok(Box::new(OfPuppet { puppet, number }) as Box<dyn PublishChannel>)
        })
    }

    fn consume_channel(&self, _: String) -> BoxFuture<'_, Result<Box<dyn ConsumeChannel>, TransportError>> {
        unreachable!("a service without handlers")
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.lose("closed");
        Box::pin(std::future::ready(()))
    }
}

struct OfPuppet {
    puppet: Puppet,
    number: usize,
}

impl PublishChannel for OfPuppet {
    fn write<'a>(&'a mut self, batch: Vec<(&'a Message, bool)>) -> BoxFuture<'a, Vec<Result<Confirm, TransportError>>> {
        Box::pin(async move {
            let mut results = Vec::with_capacity(batch.len());
            for (message, _) in batch {
                OnStrings(self.puppet.clone()).unblocked().await;
                if let ConnectionState::Lost(reason) = &*self.puppet.0.connection.borrow() {
                    results.push(Err(TransportError::Lost { reason: reason.clone() }));
                    continue;
                }
                let id = message.properties.message_id.clone().unwrap_or_default();
                let (answer, answered) = oneshot::channel();
                self.puppet.0.written.send_modify(|written| {
                    lock(&self.puppet.0.owed).push((written.len(), answer));
                    written.push(Written { channel: self.number, id: id.into() });
                });
                let confirm = Confirm::later(async move { answered.await.expect("the puppet lives") });
                results.push(Ok(confirm));
            }
            results
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), TransportError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
