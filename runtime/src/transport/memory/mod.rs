//! The memory broker: RabbitMQ's part that rabbitry uses, inside this process. `state` is the broker as a value, without
//! time and tasks of its own; around it are the seam's traits, and the task that lets time pass.
//!
//! It is modelled on RabbitMQ 4.0 and kept honest by the conformance suite and by random sequences of operations that both
//! must answer alike. It keeps nothing on disk.

mod channel;
mod connection;
#[cfg(feature = "testing")]
mod look;
mod shared;
#[cfg_attr(
    not(test),
    allow(
        dead_code,
        reason = "the model is whole: it can be unbound, purged and deleted, which the seam does not ask for yet"
    )
)]
mod state;

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use self::{connection::MemoryConnection, shared::Shared};
use super::{Broker, Connection, Transport, TransportError};
use crate::time::{Clock, SystemClock};

impl Broker {
    /// A broker in this process's memory, for trying rabbitry and for tests: it keeps nothing on disk, and what it holds is
    /// gone with the last clone of this value. Services that are given clones of it use the same.
    ///
    /// It does what RabbitMQ 4.0 does with what rabbitry asks of it: wildcards, dead-lettering, delivery limits, the delay
    /// ladder, returned messages. While it holds 256 MiB of bodies, publishers wait.
    ///
    /// ```
    /// use rabbitry::{Broker, Service};
    ///
    /// # async fn start() -> Result<(), rabbitry::StartError> {
    /// let broker = Broker::memory();
    /// let orders = Service::new("orders").broker(broker.clone()).start().await?;
    /// let inventory = Service::new("inventory").broker(broker).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn memory() -> Self {
        Self::new(Memory::new(Arc::new(SystemClock)))
    }
}

/// The way to a memory broker.
#[derive(Clone)]
pub(crate) struct Memory {
    shared: Arc<Shared>,
}

impl Memory {
    /// An empty one, whose time is a clock's.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { shared: Arc::new(Shared::new(clock)) }
    }
}

impl Transport for Memory {
    fn address(&self) -> String {
        "the memory broker".to_owned()
    }

    fn connect<'a>(
        &'a self,
        _name: &'a str,
        _clock: &'a Arc<dyn Clock>,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, TransportError>> {
        Box::pin(async move {
            self.shared.let_time_pass();
            Ok(Arc::new(MemoryConnection::new(&self.shared)) as Arc<dyn Connection>)
        })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}
