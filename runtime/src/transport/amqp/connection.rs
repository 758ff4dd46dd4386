//! One connection: it lives, is blocked, is lost; it never recovers. Whoever wants it back makes a new one.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture};
use lapin::{ConnectionProperties, Event, uri::AMQPUri};
use tokio::sync::watch;

use super::{address, consume, declare, dial::dial, error, publish, remove};
use crate::{
    time::Clock,
    topology::{Binding, Topology, TopologyMode},
    transport::{ACCESS_REFUSED, ConnectionState, ConsumeChannel, NOT_ALLOWED, PublishChannel, TransportError, Usage},
};

/// How long a connection may take to come up. lapin has no limit of its own: a peer that takes the TCP connection and says
/// nothing would hold it for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the broker may take for one answer that it gives at once when it is well.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a goodbye may take. A connection that the broker has blocked never ends it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to RabbitMQ.
pub(super) struct Connection {
    inner: lapin::Connection,
    /// The node that it leads to.
    node: String,
    clock: Arc<dyn Clock>,
    state: watch::Sender<ConnectionState>,
}

impl Connection {
    /// Connects to a node; `name` is what the operator sees in the broker's list of connections.
    pub(super) async fn connect(node: &AMQPUri, name: &str, clock: &Arc<dyn Clock>) -> Result<Self, TransportError> {
        let properties = ConnectionProperties::default()
            .with_connection_name(name.into())
            .with_client_property("product".into(), "rabbitry".into());
        // Its auto-recovery stays off: it leaves consumers and confirms pending for ever.
        let connecting = dial(node.clone(), properties);
        let inner = match within(clock, CONNECT_TIMEOUT, connecting).await {
            Some(Ok(inner)) => inner,
            Some(Err(failed)) => return Err(refusal(error(&failed))),
            None => return Err(TransportError::lost(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
        };
        let state = watch::Sender::new(ConnectionState::Open);
        let sender = state.clone();
        // The one listener: several would share the events, not see them all. It ends with the connection.
        let mut events = inner.events_listener();
        let status = inner.status().clone();
        if !status.connected() {
            // Before there was a listener.
            return Err(TransportError::lost("the connection was lost as soon as it was made"));
        }
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let now = match event {
                    Event::ConnectionBlocked(reason) => ConnectionState::Blocked(reason),
                    Event::ConnectionUnblocked => ConnectionState::Open,
                    Event::Error(failed) if !status.connected() => ConnectionState::Lost(error(&failed).to_string()),
                    _ => continue,
                };
                let over = matches!(now, ConnectionState::Lost(_));
                sender.send_replace(now);
                if over {
                    return;
                }
            }
            sender.send_replace(ConnectionState::Lost("the connection was closed".to_owned()));
        });
        Ok(Self { inner, node: address::name(node), clock: Arc::clone(clock), state })
    }

    pub(super) fn is_open(&self) -> bool {
        self.inner.status().connected()
    }

    pub(super) async fn channel(&self) -> Result<lapin::Channel, TransportError> {
        let mut stale = 0..=self.inner.configuration().channel_max();
        loop {
            let opened = tokio::select! {
                biased;
                channel = answered(&self.clock, "opening a channel", self.inner.create_channel()) => channel,
                // Asked for in the very moment of a loss, it would never come.
                () = super::super::Connection::lost(self) => Err(TransportError::lost(self.reason())),
            };
            match opened {
                // lapin gives out the numbers of channels again, and with the number of one that the broker closed its old
                // error, once. The next number is another.
                Err(TransportError::Refused { .. }) if self.is_open() && stale.next().is_some() => {}
                answer => return answer,
            }
        }
    }

    /// Why it is lost.
    fn reason(&self) -> String {
        match &*self.state.borrow() {
            ConnectionState::Lost(reason) => reason.clone(),
            ConnectionState::Open | ConnectionState::Blocked(_) => "the connection was closed".to_owned(),
        }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

impl super::super::Connection for Connection {
    fn state(&self) -> ConnectionState {
        match &*self.state.borrow() {
            // The socket may be gone before the event says so.
            ConnectionState::Open | ConnectionState::Blocked(_) if !self.is_open() => {
                ConnectionState::Lost("the connection was closed".to_owned())
            }
            state => state.clone(),
        }
    }

    fn node(&self) -> String {
        self.node.clone()
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        let mut state = self.state.subscribe();
        Box::pin(async move {
            // Without a sender it is gone, too.
            let _ = state.wait_for(|state| matches!(state, ConnectionState::Lost(_))).await;
        })
    }

    fn unblocked(&self) -> BoxFuture<'static, ()> {
        let mut state = self.state.subscribe();
        Box::pin(async move {
            // Without a sender it is gone.
            let _ = state.wait_for(|state| !matches!(state, ConnectionState::Blocked(_))).await;
        })
    }

    fn frame_max(&self) -> usize {
        // Zero means no limit in AMQP; RabbitMQ then takes what comes, and we stay within its default.
        match self.inner.configuration().frame_max() {
            0 => 131_072,
            bytes => usize::try_from(bytes).unwrap_or(131_072),
        }
    }

    fn declare<'a>(&'a self, topology: &'a Topology, mode: TopologyMode) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(declare::declare(self, topology, mode))
    }

    fn declare_exclusive<'a>(&'a self, bindings: &'a [Binding]) -> BoxFuture<'a, Result<String, TransportError>> {
        Box::pin(declare::exclusive(self, bindings))
    }

    fn unbind<'a>(&'a self, binding: &'a Binding) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(remove::unbind(self, binding))
    }

    fn delete_queue<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(remove::queue(self, queue))
    }

    fn delete_exchange<'a>(&'a self, exchange: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(remove::exchange(self, exchange))
    }

    fn usage<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Usage, TransportError>> {
        Box::pin(declare::usage(self, queue))
    }

    fn publish_channel(&self) -> BoxFuture<'_, Result<Box<dyn PublishChannel>, TransportError>> {
        Box::pin(async move {
            let channel = publish::Publishing::open(self.channel().await?, &self.clock).await?;
            Ok(Box::new(channel) as Box<dyn PublishChannel>)
        })
    }

    fn consume_channel(&self, queue: String) -> BoxFuture<'_, Result<Box<dyn ConsumeChannel>, TransportError>> {
        Box::pin(async move {
            let channel = consume::Consuming::new(self.channel().await?, queue, Arc::clone(&self.clock));
            Ok(Box::new(channel) as Box<dyn ConsumeChannel>)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let closing = self.inner.close(200, "OK".into());
            if within(&self.clock, CLOSE_TIMEOUT, closing).await.is_none() {
                tracing::warn!("a connection did not close within {} s and was left", CLOSE_TIMEOUT.as_secs());
            }
            // lapin tells of no end that we brought about ourselves.
            self.state.send_if_modified(|state| {
                let lost = matches!(state, ConnectionState::Lost(_));
                if !lost {
                    *state = ConnectionState::Lost("the connection was closed".to_owned());
                }
                !lost
            });
        })
    }
}

/// Says in a refused connection's error what to do.
fn refusal(error: TransportError) -> TransportError {
    match error {
        TransportError::Refused { code: ACCESS_REFUSED, text } => TransportError::Refused {
            code: ACCESS_REFUSED,
            text: format!("{text} — the user name or password is wrong, or the user may not log in this way"),
        },
        TransportError::Refused { code: NOT_ALLOWED, text } => TransportError::Refused {
            code: NOT_ALLOWED,
            text: format!("{text} — create the virtual host, or give the user permissions for it"),
        },
        other => other,
    }
}

/// The answer to something asked of the broker, which on a blocked or dying connection may never come.
pub(super) async fn answered<T>(
    clock: &Arc<dyn Clock>,
    what: &str,
    asked: impl Future<Output = lapin::Result<T>>,
) -> Result<T, TransportError> {
    match within(clock, ANSWER_TIMEOUT, asked).await {
        Some(answer) => answer.map_err(|failed| error(&failed)),
        None => Err(TransportError::lost(format!("{what}: no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
    }
}

/// What the future gives, or `None` after `limit`.
async fn within<T>(clock: &Arc<dyn Clock>, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = clock.sleep(limit) => None,
    }
}
