//! A connection to the memory broker.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{
    channel::{Consuming, Publishing},
    shared::Shared,
    state::{ChannelId, ConnectionId, Ends, QueueDeclaration, QueueDeclared, Refusal, State},
};
use crate::{
    topology::{Arguments, Binding, Exchange, Queue, Topology, TopologyMode},
    transport::{
        Connection, ConnectionState, ConsumeChannel, PublishChannel, TransportError, Usage,
        bring_about::{self, Objects},
    },
};

/// RabbitMQ's default.
const FRAME_MAX: usize = 131_072;

pub(super) struct MemoryConnection(Arc<Open>);

/// What a connection shares with its channels.
pub(super) struct Open {
    pub(super) shared: Arc<Shared>,
    pub(super) id: ConnectionId,
    /// Why it is gone, once it is.
    lost: watch::Sender<Option<String>>,
}

impl MemoryConnection {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let id = ConnectionId(shared.next_id());
        let open = Arc::new(Open { shared: Arc::clone(shared), id, lost: watch::Sender::new(None) });
        shared.connected(&open);
        Self(open)
    }
}

impl Open {
    /// Ends it, if it has not ended.
    pub(super) fn end(&self, reason: &str) {
        let ended = self.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            lost.get_or_insert_with(|| reason.to_owned());
            first
        });
        if ended {
            self.shared.with(|state, now| state.close_connection(self.id, now));
        }
    }

    /// Ends it over a refusal, where RabbitMQ would.
    pub(super) fn refused(&self, refusal: &Refusal) -> TransportError {
        if refusal.ends == Ends::Connection {
            self.end(&refusal.text);
        }
        TransportError::Refused { code: refusal.code, text: refusal.text.clone() }
    }

    /// Ends when it is gone.
    pub(super) fn lost(&self) -> BoxFuture<'static, ()> {
        let mut lost = self.lost.subscribe();
        Box::pin(async move {
            // Without a sender it is gone, too.
            let _ = lost.wait_for(Option::is_some).await;
        })
    }

    /// Fails once it is gone.
    pub(super) fn check(&self) -> Result<(), TransportError> {
        match &*self.lost.borrow() {
            None => Ok(()),
            Some(reason) => Err(TransportError::lost(reason.clone())),
        }
    }

    /// Asks the state for something; a refusal ends what it would end in RabbitMQ.
    fn ask<T>(&self, ask: impl FnOnce(&mut State) -> Result<T, Refusal>) -> Result<T, TransportError> {
        self.check()?;
        self.shared.with(|state, _| ask(state)).map_err(|refusal| self.refused(&refusal))
    }

    fn channel(&self) -> Result<ChannelId, TransportError> {
        self.check()?;
        Ok(ChannelId(self.shared.next_id()))
    }
}

/// One that is dropped is cut.
impl Drop for MemoryConnection {
    fn drop(&mut self) {
        self.0.end("the connection was dropped");
    }
}

impl Connection for MemoryConnection {
    fn node(&self) -> String {
        "memory".to_owned()
    }

    fn state(&self) -> ConnectionState {
        match &*self.0.lost.borrow() {
            Some(reason) => ConnectionState::Lost(reason.clone()),
            None if self.0.shared.is_full() => {
                ConnectionState::Blocked("the memory broker holds as much as it may".to_owned())
            }
            None => ConnectionState::Open,
        }
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        self.0.lost()
    }

    fn unblocked(&self) -> BoxFuture<'static, ()> {
        let (shared, lost) = (Arc::clone(&self.0.shared), self.0.lost());
        Box::pin(async move {
            tokio::select! {
                () = shared.room() => {}
                () = lost => {}
            }
        })
    }

    fn frame_max(&self) -> usize {
        FRAME_MAX
    }

    fn declare<'a>(&'a self, topology: &'a Topology, mode: TopologyMode) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move { bring_about::declare(&mut Asking(&self.0), topology, mode).await })
    }

    fn declare_exclusive<'a>(&'a self, bindings: &'a [Binding]) -> BoxFuture<'a, Result<String, TransportError>> {
        Box::pin(async move { bring_about::exclusive(&mut Asking(&self.0), bindings).await })
    }

    fn unbind<'a>(&'a self, binding: &'a Binding) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move { self.0.ask(|state| state.unbind(binding, self.0.id)) })
    }

    fn delete_queue<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move { self.0.ask(|state| state.delete_queue(queue, self.0.id)).map(drop) })
    }

    fn delete_exchange<'a>(&'a self, exchange: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move { self.0.ask(|state| state.delete_exchange(exchange)) })
    }

    fn usage<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Usage, TransportError>> {
        Box::pin(async move {
            let declared = Asking(&self.0).declare(queue, &Arguments::new(), true, false)?;
            let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
            Ok(Usage { ready: number(declared.ready), consumers: number(declared.consumers) })
        })
    }

    fn publish_channel(&self) -> BoxFuture<'_, Result<Box<dyn PublishChannel>, TransportError>> {
        Box::pin(async move {
            self.0.check()?;
            Ok(Box::new(Publishing::new(Arc::clone(&self.0))) as Box<dyn PublishChannel>)
        })
    }

    fn consume_channel(&self, queue: String) -> BoxFuture<'_, Result<Box<dyn ConsumeChannel>, TransportError>> {
        Box::pin(async move {
            let channel = Consuming::new(Arc::clone(&self.0), self.0.channel()?, queue);
            Ok(Box::new(channel) as Box<dyn ConsumeChannel>)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.0.end("the connection was closed") })
    }
}

/// What is asked of the state, one question at a time.
struct Asking<'a>(&'a Open);

impl Asking<'_> {
    fn declare(
        &self,
        name: &str,
        arguments: &Arguments,
        passive: bool,
        own: bool,
    ) -> Result<QueueDeclared, TransportError> {
        self.0.check()?;
        let declaration = QueueDeclaration {
            name: name.to_owned(),
            durable: !own,
            exclusive: own,
            auto_delete: own,
            arguments: arguments.clone(),
            passive,
            connection: self.0.id,
        };
        let declared = self.0.shared.with(|state, now| state.declare_queue(declaration, now));
        declared.map_err(|refusal| self.0.refused(&refusal))
    }
}

impl Objects for Asking<'_> {
    async fn exchange(&mut self, exchange: &Exchange, passive: bool) -> Result<(), TransportError> {
        self.0.ask(|state| state.declare_exchange(exchange, passive))
    }

    async fn queue(&mut self, queue: &Queue, passive: bool) -> Result<(), TransportError> {
        self.declare(&queue.name, &queue.arguments, passive, false).map(drop)
    }

    async fn own_queue(&mut self, arguments: &Arguments) -> Result<String, TransportError> {
        self.declare("", arguments, false, true).map(|declared| declared.name)
    }

    async fn bind(&mut self, binding: &Binding) -> Result<(), TransportError> {
        self.0.ask(|state| state.bind(binding, self.0.id))
    }
}
