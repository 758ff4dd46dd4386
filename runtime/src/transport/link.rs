//! A connection that is always being had: whoever asks gets the live one, and waits while there is none.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::watch;

use super::{
    Backoff, Connection, ConnectionState, Life, Lifecycle, Loss, Transport, TransportError,
    lifecycle::{Shown, Subject},
};
use crate::{
    time::Clock,
    topology::{Topology, TopologyMode},
};

/// How long an attempt to connect may be without an answer before another is made beside it. A peer that takes one and is
/// lost then would hold us for the rest of its time, however well it is again.
const NEXT_ATTEMPT: Duration = Duration::from_secs(3);
/// How many attempts are under way at a time.
const ATTEMPTS: usize = 4;

/// One of a service's two supervised connections.
pub(crate) struct Link {
    transport: Arc<dyn Transport>,
    /// What the operator sees in the broker's list of connections.
    name: String,
    topology: Arc<Topology>,
    mode: TopologyMode,
    clock: Arc<dyn Clock>,
    /// Whoever finds its connection dead begins the task that makes the next one, and waits for that as the others do. A task
    /// of its own, for each of theirs may be kept from going on by a handler that never awaits.
    made: watch::Sender<Made>,
    /// The newest connection, from the moment on that it is there.
    newest: Mutex<Option<Arc<dyn Connection>>>,
    life: Life,
}

/// What was made last.
#[derive(Default)]
struct Made {
    /// The connection, with the topology that it needs.
    connection: Option<Arc<dyn Connection>>,
    /// Whether a task is making the next one.
    is_being_made: bool,
}

impl Made {
    fn live(&self) -> Option<&Arc<dyn Connection>> {
        self.connection.as_ref().filter(|connection| connection.is_open())
    }
}

impl Link {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        name: String,
        topology: Arc<Topology>,
        mode: TopologyMode,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let life = Life::new(Subject::Connection(name.clone()), Arc::clone(&clock));
        let (made, newest) = (watch::Sender::default(), Mutex::default());
        Self { transport, name, topology, mode, clock, made, newest, life }
    }

    /// How it is.
    pub(crate) fn life(&self) -> Shown {
        self.life.read()
    }

    /// The newest connection, which may be lost.
    pub(crate) fn newest(&self) -> Option<Arc<dyn Connection>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connection, if it is there just now.
    pub(crate) fn live(&self) -> Option<Arc<dyn Connection>> {
        self.newest().filter(|connection| connection.is_open() && self.life.state() == Lifecycle::Running)
    }

    /// The first connection: waits while the broker cannot be reached, and gives up when it says no. The topology may be
    /// `declared` already, by the service's other connection.
    ///
    /// # Errors
    /// The broker refuses us (credentials, virtual host) or the plan (an object with other arguments).
    pub(crate) async fn first(&self, declared: bool) -> Result<(), TransportError> {
        let (mut backoff, mut attempts) = (Backoff::default(), Attempts::of(self));
        loop {
            let attempt = async {
                let connection = attempts.connection().await?;
                if !declared {
                    self.life.enter(Lifecycle::Declaring);
                    if let Err(error) = self.declare_again(&*connection).await {
                        connection.close().await;
                        return Err(error);
                    }
                }
                Ok(connection)
            };
            match attempt.await {
                Ok(connection) => {
                    self.life.running(Loss::Own, Some(&connection.node()));
                    self.made.send_modify(|made| made.connection = Some(connection));
                    return Ok(());
                }
                Err(passes @ (TransportError::Lost { .. } | TransportError::Away { .. })) => {
                    self.wait(&mut backoff, &passes).await;
                }
                Err(refused) => return Err(refused),
            }
        }
    }

    /// The live connection, however long it takes. Cancel safe.
    pub(crate) async fn connection(self: &Arc<Self>) -> Arc<dyn Connection> {
        let mut made = self.made.subscribe();
        loop {
            if let Some(connection) = made.borrow_and_update().live() {
                return Arc::clone(connection);
            }
            self.make();
            // We hold a sender, so it cannot be closed.
            _ = made.changed().await;
        }
    }

    /// Begins to make the next connection, unless that has been begun, or there is one.
    fn make(self: &Arc<Self>) {
        let mut begins = false;
        self.made.send_if_modified(|made| {
            // Whoever still waits when the link is closed waits in vain, but not by asking again and again.
            let is_over = self.life.state() == Lifecycle::Closed;
            begins = !is_over && !made.is_being_made && made.live().is_none();
            made.is_being_made |= begins;
            false
        });
        if begins {
            tokio::spawn(Making(Arc::clone(self)).run());
        }
    }

    /// Makes the next connection.
    async fn next(&self) -> Arc<dyn Connection> {
        let dead = self.made.borrow().connection.clone();
        if let Some(dead) = dead.filter(|_| self.life.state() == Lifecycle::Running) {
            self.life.lost(&reason(&*dead), Loss::Own);
        }
        let (mut backoff, mut attempts) = (Backoff::default(), Attempts::of(self));
        loop {
            let connection = match attempts.connection().await {
                Ok(connection) => connection,
                // Even a refusal: credentials are rotated, and nobody restarts us for it.
                Err(error) => {
                    self.wait(&mut backoff, &error).await;
                    continue;
                }
            };
            match self.declare_again(&*connection).await {
                Ok(()) => {}
                // Some refusals end the connection, too.
                Err(error) if matches!(error, TransportError::Lost { .. }) || !connection.is_open() => {
                    connection.close().await;
                    self.wait(&mut backoff, &error).await;
                    continue;
                }
                // What differs from the plan has worked so far, and what is away for now comes back.
                Err(error) => tracing::error!(
                    connection = self.name,
                    %error,
                    "connected to RabbitMQ again, but not all of the topology can be declared; going on as it is"
                ),
            }
            return connection;
        }
    }

    /// Whether an exchange is one of those that the service declares.
    pub(crate) fn declares(&self, exchange: &str) -> bool {
        self.mode == TopologyMode::Declare && self.topology.exchanges.iter().any(|declared| declared.name == exchange)
    }

    /// Brings the topology about once more on a connection: something of it is gone.
    pub(crate) async fn declare_again(&self, connection: &dyn Connection) -> Result<(), TransportError> {
        connection.declare(&self.topology, self.mode).await
    }

    /// Gives up a connection that does not do what it is there for: whoever uses it comes for the next one.
    pub(crate) async fn give_up(&self, connection: &Arc<dyn Connection>, reason: &TransportError) {
        self.life.lost(reason, Loss::Own);
        connection.close().await;
    }

    /// The service stops.
    pub(crate) fn drain(&self) {
        self.life.enter(Lifecycle::Draining);
    }

    /// Closes the connection, if there is one, and makes none any more.
    pub(crate) async fn close(&self) {
        self.life.enter(Lifecycle::Closed);
        if let Some(connection) = self.newest() {
            connection.close().await;
        }
    }

    async fn wait(&self, backoff: &mut Backoff, error: &TransportError) {
        self.life.failed(error);
        let wait = backoff.next();
        if backoff.is_worth_a_line() {
            tracing::warn!(
                connection = self.name,
                broker = self.transport.address(),
                tries = backoff.tries(),
                %error,
                "cannot connect to RabbitMQ; trying again for as long as it takes"
            );
        }
        self.clock.sleep(wait).await;
    }
}

/// The task that makes a connection: until it is there, or nobody waits for it any more, or the link is closed.
struct Making(Arc<Link>);

impl Making {
    async fn run(self) {
        let link = &*self.0;
        let connection = tokio::select! {
            biased;
            _ = link.life.wait_for(|shown| shown.state == Lifecycle::Closed) => return,
            () = link.made.closed() => return,
            connection = link.next() => connection,
        };
        link.life.running(Loss::Own, Some(&connection.node()));
        link.made.send_modify(|made| made.connection = Some(connection));
    }
}

/// However it ends: whoever waits looks, and begins the next one if there is none.
impl Drop for Making {
    fn drop(&mut self) {
        self.0.made.send_modify(|made| made.is_being_made = false);
    }
}

/// Attempts to connect, of which one that hangs does not keep the next waiting.
struct Attempts<'a> {
    link: &'a Link,
    under_way: FuturesUnordered<BoxFuture<'a, Result<Arc<dyn Connection>, TransportError>>>,
}

impl<'a> Attempts<'a> {
    fn of(link: &'a Link) -> Self {
        Self { link, under_way: FuturesUnordered::new() }
    }

    /// A new connection, or the failure of an attempt; others may be under way still, and are asked next time.
    async fn connection(&mut self) -> Result<Arc<dyn Connection>, TransportError> {
        loop {
            if self.under_way.len() < ATTEMPTS {
                self.under_way.push(self.link.transport.connect(&self.link.name, &self.link.clock));
            }
            tokio::select! {
                biased;
                Some(connected) = self.under_way.next() => {
                    let connection = connected?;
                    *self.link.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
                    return Ok(connection);
                }
                () = self.link.clock.sleep(NEXT_ATTEMPT) => {}
            }
        }
    }
}

fn reason(connection: &dyn Connection) -> TransportError {
    TransportError::lost(match connection.state() {
        ConnectionState::Lost(reason) => reason,
        ConnectionState::Open | ConnectionState::Blocked(_) => "the connection was closed".to_owned(),
    })
}
