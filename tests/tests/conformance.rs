//! What rabbitry relies on of a broker: on RabbitMQ 3.10, or 4.0 with `RABBITMQ=4`, and on the memory broker.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rabbitry::{
    Broker,
    testing::conformance::{Capabilities, Harness},
};
use rabbitry_tests::{Node, TestBroker, is_4};

/// A virtual host of RabbitMQ.
struct RabbitMq(TestBroker);

impl RabbitMq {
    /// On the node that all tests share.
    async fn shared() -> Self {
        Self(TestBroker::new().await)
    }

    /// On a node of its own, which may be restarted.
    async fn private() -> Self {
        static NODES: AtomicUsize = AtomicUsize::new(0);
        rabbitry_tests::log();
        let name = format!("conformance-{}", NODES.fetch_add(1, Ordering::Relaxed));
        Self(TestBroker::on(&Node::private(&name, &[]).await).await)
    }
}

impl Harness for RabbitMq {
    fn broker(&self) -> Broker {
        Broker::amqp(self.0.url())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            persistent: true,
            user: "guest".to_owned(),
            default_delivery_limit: is_4().then_some(20),
            dead_letters_look_redelivered: is_4(),
            last_death_headers: is_4(),
        }
    }

    async fn close_connections(&self) {
        self.0.close_connections().await;
    }

    async fn restart(&self) {
        self.0.node().stop().await;
        self.0.node().restart().await;
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

mod on_rabbitmq {
    use super::RabbitMq;

    rabbitry::testing::conformance_suite!(RabbitMq::shared().await, restarting: RabbitMq::private().await);
}

mod in_memory {
    use rabbitry::testing::MemoryBroker;

    rabbitry::testing::conformance_suite!(MemoryBroker::new());
}
