//! A connection that is always being had: whoever asks gets the live one, and waits while there is none.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Backoff, Connection, ConnectionState, Transport, TransportError};
use crate::{
    time::Clock,
    topology::{Topology, TopologyMode},
};

/// One of a service's two supervised connections.
pub(crate) struct Link {
    transport: Arc<dyn Transport>,
    /// What the operator sees in the broker's list of connections.
    name: String,
    topology: Arc<Topology>,
    mode: TopologyMode,
    clock: Arc<dyn Clock>,
    /// The newest connection. Whoever finds it dead makes the next one, under this lock; the others wait for that.
    current: tokio::sync::Mutex<Option<Arc<dyn Connection>>>,
    /// The newest connection, or why there is none, for `health`, which cannot wait for a lock.
    shown: Mutex<Result<Arc<dyn Connection>, String>>,
}

impl Link {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        name: String,
        topology: Arc<Topology>,
        mode: TopologyMode,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let shown = Mutex::new(Err("not connected yet".to_owned()));
        Self { transport, name, topology, mode, clock, current: tokio::sync::Mutex::new(None), shown }
    }

    /// How it is.
    pub(crate) fn state(&self) -> ConnectionState {
        match &*self.shown.lock().unwrap_or_else(PoisonError::into_inner) {
            Ok(connection) => connection.state(),
            Err(reason) => ConnectionState::Lost(reason.clone()),
        }
    }

    /// The first connection: waits while the broker cannot be reached, and gives up when it says no. The topology may be
    /// `declared` already, by the service's other connection.
    ///
    /// # Errors
    /// The broker refuses us (credentials, virtual host) or the plan (an object with other arguments).
    pub(crate) async fn first(&self, declared: bool) -> Result<(), TransportError> {
        let mut current = self.current.lock().await;
        let mut backoff = Backoff::default();
        loop {
            let attempt = async {
                let connection = self.connect().await?;
                if !declared && let Err(error) = self.declare_again(&*connection).await {
                    connection.close().await;
                    return Err(error);
                }
                Ok(connection)
            };
            match attempt.await {
                Ok(connection) => {
                    *current = Some(connection);
                    return Ok(());
                }
                Err(lost @ TransportError::Lost { .. }) => self.wait(&mut backoff, &lost).await,
                Err(refused) => return Err(refused),
            }
        }
    }

    /// The live connection, however long it takes. Cancel safe.
    pub(crate) async fn connection(&self) -> Arc<dyn Connection> {
        let mut current = self.current.lock().await;
        let mut backoff = Backoff::default();
        loop {
            if let Some(connection) = current.as_ref().filter(|connection| connection.is_open()) {
                return Arc::clone(connection);
            }
            if let Some(dead) = current.take() {
                tracing::warn!(connection = self.name, reason = reason(&*dead), "lost the connection to RabbitMQ");
            }
            match self.connect().await {
                Ok(connection) => {
                    match self.declare_again(&*connection).await {
                        Ok(()) => tracing::info!(connection = self.name, "connected to RabbitMQ again"),
                        Err(lost @ TransportError::Lost { .. }) => {
                            connection.close().await;
                            self.wait(&mut backoff, &lost).await;
                            continue;
                        }
                        // What differs from the plan has worked so far.
                        Err(error) => tracing::error!(
                            connection = self.name,
                            %error,
                            "connected to RabbitMQ again, but not all of the topology can be declared; going on as it is"
                        ),
                    }
                    *current = Some(connection);
                }
                // Even a refusal: credentials are rotated, and nobody restarts us for it.
                Err(error) => self.wait(&mut backoff, &error).await,
            }
        }
    }

    /// Brings the topology about once more on a connection: something of it is gone.
    pub(crate) async fn declare_again(&self, connection: &dyn Connection) -> Result<(), TransportError> {
        connection.declare(&self.topology, self.mode).await
    }

    /// Closes the connection, if there is one.
    pub(crate) async fn close(&self) {
        if let Some(connection) = self.current.lock().await.take() {
            connection.close().await;
        }
    }

    async fn connect(&self) -> Result<Arc<dyn Connection>, TransportError> {
        let connection = self.transport.connect(&self.name, &self.clock).await?;
        self.show(Ok(Arc::clone(&connection)));
        Ok(connection)
    }

    fn show(&self, shown: Result<Arc<dyn Connection>, String>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    async fn wait(&self, backoff: &mut Backoff, error: &TransportError) {
        self.show(Err(error.to_string()));
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

fn reason(connection: &dyn Connection) -> String {
    match connection.state() {
        ConnectionState::Lost(reason) => reason,
        ConnectionState::Open | ConnectionState::Blocked(_) => "the connection was closed".to_owned(),
    }
}
