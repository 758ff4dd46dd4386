//! Inventory: keeps the products, and takes out of stock what is ordered.

mod events;
mod refusal;
mod routes;
mod store;

use std::{env, net::SocketAddr, time::Duration};

use anyhow::Context;
use axum::Router;
use rabbitry::{Running, Service};
use tokio::{net::TcpListener, sync::oneshot};

pub use events::service;
pub use store::{Stock, Taken};

/// How long requests in hand may take to end when the service stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the service listens, and where it keeps its stock.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address and the port of its HTTP side.
    pub address: String,
    /// The file of its database.
    pub file: String,
}

impl Settings {
    /// `INVENTORY_ADDR` and `INVENTORY_DB`, or what the README says of them.
    #[must_use]
    pub fn from_env() -> Self {
        let or = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        Self { address: or("INVENTORY_ADDR", "127.0.0.1:8002"), file: or("INVENTORY_DB", "inventory.db") }
    }
}

/// The service with its HTTP side, started.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
    running: Running,
}

impl Server {
    /// Starts the [`service`], which has its broker, and returns once events come in.
    ///
    /// # Errors
    /// The port is taken, the file is no database, or the broker refuses the service.
    pub async fn start(service: Service, settings: &Settings) -> anyhow::Result<Self> {
        let Settings { address, file } = settings;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("inventory cannot listen on {address}; choose another INVENTORY_ADDR"))?;
        let stock = Stock::open(file)
            .await
            .with_context(|| format!("inventory cannot use the database {file}; choose another INVENTORY_DB"))?;
        let running = service.state(stock.clone()).start().await?;
        Ok(Self { listener, router: routes::router(stock), running })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until a signal, and ends what is in hand.
    ///
    /// # Errors
    /// Handlers were cut off at the end of the grace period.
    pub async fn serve(self) -> anyhow::Result<()> {
        self.serve_until(std::future::pending()).await
    }

    /// The same, but it also stops when `stop` ends.
    ///
    /// # Errors
    /// Handlers were cut off at the end of the grace period.
    pub async fn serve_until(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        tracing::info!("inventory listens on http://{}", self.address()?);
        self.running.stop_on_signals()?;
        let (signal, (stops, stopped)) = (self.running.stopping(), oneshot::channel::<()>());
        let serving = axum::serve(self.listener, self.router).with_graceful_shutdown(async {
            tokio::select! {
                () = signal => {}
                () = stop => {}
            }
            drop(stops);
        });
        // Whoever never ends a request does not keep the service from ending.
        let patience = async {
            _ = stopped.await;
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            served = serving.into_future() => served?,
            () = patience => tracing::warn!("requests in hand were cut off"),
        }
        self.running.shutdown().await?;
        Ok(())
    }
}
