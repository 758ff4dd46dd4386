//! The services of the shop, together in one process.

use std::net::SocketAddr;

use inventory::Server as Inventory;
use orders::Server as Orders;
use rabbitry::{Broker, Running, Service, observe::Observer};
use tokio::sync::watch;

use crate::warehouse;

/// The shop, open.
#[derive(Debug)]
pub struct Shop {
    orders: Orders,
    inventory: Inventory,
    warehouse: Running,
}

impl Shop {
    /// Starts the services on one broker, and has the observer told of every run of their handlers.
    ///
    /// # Errors
    /// A port is taken, a file is no database, or the broker refuses a service.
    pub async fn open(
        broker: &Broker,
        observer: impl Observer + Clone,
        orders: &orders::Settings,
        inventory: &inventory::Settings,
    ) -> anyhow::Result<Self> {
        let on_broker = |service: Service| service.broker(broker.clone()).observer(observer.clone());
        let (orders, inventory) = tokio::try_join!(
            Orders::start(on_broker(orders::service()), orders),
            Inventory::start(on_broker(inventory::service()), inventory),
        )?;
        let warehouse = on_broker(warehouse::service()).start().await?;
        Ok(Self { orders, inventory, warehouse })
    }

    /// Where orders and inventory listen.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.orders.address()?, self.inventory.address()?))
    }

    /// Serves until a signal, and ends what is in hand.
    ///
    /// # Errors
    /// Handlers were cut off at the end of the grace period.
    pub async fn serve(self) -> anyhow::Result<()> {
        let (_never, stop) = watch::channel(());
        self.serve_until(stop).await
    }

    /// The same, but it also stops when the sender of `stop` is gone.
    ///
    /// # Errors
    /// Handlers were cut off at the end of the grace period.
    pub async fn serve_until(self, stop: watch::Receiver<()>) -> anyhow::Result<()> {
        let stopped = || {
            let mut stop = stop.clone();
            async move { _ = stop.changed().await }
        };
        self.warehouse.stop_on_signals()?;
        let warehouse = async {
            tokio::select! {
                () = self.warehouse.stopping() => {}
                () = stopped() => {}
            }
            anyhow::Ok(self.warehouse.shutdown().await?)
        };
        tokio::try_join!(self.orders.serve_until(stopped()), self.inventory.serve_until(stopped()), warehouse)?;
        Ok(())
    }
}
