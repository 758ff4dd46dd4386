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
    allow(dead_code, reason = "the model is whole: messages can be got and purged, which the seam does not ask for")
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

/// How many bytes of bodies it holds before publishers wait.
const ROOM: usize = 256 << 20;

/// The way to a memory broker.
#[derive(Clone)]
pub(crate) struct Memory {
    shared: Arc<Shared>,
}

impl Memory {
    /// One that holds so many bytes of bodies before publishers wait.
    fn with_room(clock: Arc<dyn Clock>, bytes: usize) -> Self {
        Self { shared: Arc::new(Shared::new(clock, bytes)) }
    }

    /// An empty one, whose time is a clock's.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_room(clock, ROOM)
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        envelope::Message,
        topology::{Queue, QueueType, Topology, TopologyMode},
        transport::{Confirmed, ConnectionState, Settlement},
    };

    #[tokio::test]
    async fn publishers_wait_while_it_is_full() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let memory = Memory::with_room(Arc::clone(&clock), 4_000);
        let connection = memory.connect("test", &clock).await.unwrap();
        let mut topology = Topology::default();
        topology.queues.push(Queue::named("work", QueueType::Quorum, crate::topology::Arguments::new()));
        connection.declare(&topology, TopologyMode::Declare).await.unwrap();
        let message = Message { routing_key: "work".into(), body: vec![0; 1_000].into(), ..Message::default() };
        let mut publishing = connection.publish_channel().await.unwrap();
        for written in publishing.write(vec![(&message, true); 4]).await {
            assert_eq!(written.unwrap().await, Ok((Confirmed::Ack, None)));
        }
        assert!(matches!(connection.state(), ConnectionState::Blocked(_)), "{:?}", connection.state());
        let mut fifth = publishing.write(vec![(&message, true)]);
        assert!((&mut fifth).now_or_never().is_none());
        // Consumers go on, and with what they acknowledge there is room again.
        let mut consuming = connection.consume_channel("work".to_owned()).await.unwrap();
        consuming.consume(10).await.unwrap();
        consuming.settle(vec![Settlement::Ack(1)]).await.unwrap();
        assert_eq!(fifth.await.remove(0).unwrap().await, Ok((Confirmed::Ack, None)));
        // Whoever waits is told when the connection is lost.
        let mut sixth = publishing.write(vec![(&message, true)]);
        assert!((&mut sixth).now_or_never().is_none());
        connection.close().await;
        assert!(sixth.await.remove(0).is_err());
    }
}
