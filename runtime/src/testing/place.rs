//! Where a test's services run: a memory broker on a clock of the test's, or a RabbitMQ.

use std::sync::Arc;

use super::{TestClock, log::Log, wire::Wire};
use crate::{
    Broker, InvalidUrl, Service,
    time::{Clock, SystemClock},
    transport::{Transport, memory::Memory},
};

/// Which broker a test uses.
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// A memory broker of the test's own: time that only the broker waits for passes at once.
    #[default]
    Memory,
    /// This one, in real time.
    Broker(Broker),
}

impl From<Broker> for Place {
    fn from(broker: Broker) -> Self {
        Self::Broker(broker)
    }
}

impl From<&str> for Place {
    fn from(url: &str) -> Self {
        Self::Broker(url.into())
    }
}

impl From<String> for Place {
    fn from(url: String) -> Self {
        Self::Broker(url.into())
    }
}

/// One service, or several.
pub trait Services {
    /// As a list.
    fn into_services(self) -> Vec<Service>;
}

impl Services for Service {
    fn into_services(self) -> Vec<Service> {
        vec![self]
    }
}

impl Services for Vec<Service> {
    fn into_services(self) -> Vec<Service> {
        self
    }
}

impl<const N: usize> Services for [Service; N] {
    fn into_services(self) -> Vec<Service> {
        self.into()
    }
}

/// The broker of a test that has begun.
pub(super) enum Ground {
    Memory { memory: Memory, clock: TestClock },
    Broker(Arc<dyn Transport>),
}

impl Ground {
    pub(super) fn new(place: Place) -> Result<Self, InvalidUrl> {
        Ok(match place {
            Place::Memory => {
                let clock = TestClock::new();
                Self::Memory { memory: Memory::new(Arc::new(clock.clone())), clock }
            }
            Place::Broker(broker) => Self::Broker(broker.transport()?),
        })
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Self::Memory { clock, .. } => Arc::new(clock.clone()),
            Self::Broker(_) => Arc::new(SystemClock),
        }
    }

    pub(super) fn transport(&self) -> Arc<dyn Transport> {
        match self {
            Self::Memory { memory, .. } => Arc::new(memory.clone()),
            Self::Broker(transport) => Arc::clone(transport),
        }
    }

    pub(super) fn broker(&self) -> Broker {
        match self {
            Self::Memory { memory, .. } => Broker::new(memory.clone()),
            Self::Broker(transport) => Broker::shared(Arc::clone(transport)),
        }
    }

    /// Gives a service the test's broker and time.
    pub(super) fn prepare(&self, service: Service, log: &Arc<Log>) -> Service {
        let wire = Wire { inner: self.transport(), log: Arc::clone(log) };
        let service = service.broker(Broker::new(wire));
        match self {
            Self::Memory { clock, .. } => service.clock(clock.clone()),
            Self::Broker(_) => service,
        }
    }
}
