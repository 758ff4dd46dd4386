//! A memory broker in a test's hands.

use std::{sync::Arc, time::Duration};

use super::{
    TestClock,
    conformance::{Capabilities, Harness},
};
use crate::{Broker, Clock, transport::memory::Memory};

/// A memory broker in a test's hands, for whoever tests something else than services: its time, and what an operator does.
#[derive(Clone, Debug)]
pub struct MemoryBroker {
    memory: Memory,
    clock: TestClock,
}

impl MemoryBroker {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let clock = TestClock::new();
        Self { memory: Memory::new(Arc::new(clock.clone())), clock }
    }

    /// What services are given.
    #[must_use]
    pub fn broker(&self) -> Broker {
        Broker::new(self.memory.clone())
    }

    /// Its time.
    #[must_use]
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// Lets time pass: what is due then has happened when this returns.
    pub fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.memory.advance();
    }

    /// Closes all connections, as an operator does.
    pub fn close_connections(&self) {
        self.memory.close_connections();
    }

    /// Ends it and starts it again: all that it had is gone.
    pub fn restart(&self) {
        self.memory.restart();
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

/// It models RabbitMQ 4.0.
impl Harness for MemoryBroker {
    fn broker(&self) -> Broker {
        self.broker()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            persistent: false,
            user: "guest".to_owned(),
            default_delivery_limit: Some(20),
            dead_letters_look_redelivered: true,
            last_death_headers: true,
        }
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    async fn close_connections(&self) {
        self.close_connections();
    }

    async fn restart(&self) {
        self.restart();
    }

    async fn pass(&self, time: Duration) {
        self.pass(time);
    }
}
