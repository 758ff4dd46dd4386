//! Inventory: keeps the products, and takes out of stock what is ordered.

mod events;
mod refusal;
mod routes;
mod store;

use std::{env, net::SocketAddr, time::Duration};

use anyhow::Context;
use axum::Router;
use rabbitry::Running;
use tokio::net::TcpListener;

pub use events::service;
pub use store::{Stock, Taken};

/// How long requests in hand may take to end when the service stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service with its HTTP side, started.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
    running: Running,
}

impl Server {
    /// Starts on the port `INVENTORY_ADDR`, with the file `INVENTORY_DB`, and returns once events come in.
    ///
    /// # Errors
    /// The port is taken, the file is no database, or the broker refuses the service.
    pub async fn start(broker: &str) -> anyhow::Result<Self> {
        let address = env::var("INVENTORY_ADDR").unwrap_or_else(|_| "127.0.0.1:8002".to_owned());
        let file = env::var("INVENTORY_DB").unwrap_or_else(|_| "inventory.db".to_owned());
        let listener = TcpListener::bind(&address)
            .await
            .with_context(|| format!("inventory cannot listen on {address}; choose another INVENTORY_ADDR"))?;
        let stock = Stock::open(&file)
            .await
            .with_context(|| format!("inventory cannot use the database {file}; choose another INVENTORY_DB"))?;
        let running = service().state(stock.clone()).broker(broker).start().await?;
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
        tracing::info!("inventory listens on http://{}", self.address()?);
        self.running.stop_on_signals()?;
        let serving = axum::serve(self.listener, self.router).with_graceful_shutdown(self.running.stopping());
        // Whoever never ends a request does not keep the service from ending.
        let patience = async {
            self.running.stopping().await;
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
