//! Comparing by AMQP alone, on both brokers: what is there and is not as planned, and that nothing comes to be by asking.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rabbitry::{
    AnyEvent, Broker, Clock, Comparison, Difference, QueueType, Service, Subscription, Topology, TopologyMode,
    testing::Place,
    topology::{Binding, Object},
    transport::{Connection, ConnectionState, ConsumeChannel, PublishChannel, Transport, TransportError, Usage},
};
use rabbitry_tests::{on_both, within};

use futures_util::future::BoxFuture;

/// Something to compare with.
fn broker(place: Place) -> Broker {
    match place {
        Place::Memory => Broker::memory(),
        Place::Broker(broker) => broker,
    }
}

fn stock(queue_type: QueueType) -> Service {
    let handler = Subscription::to("order").queue_type(queue_type).handler(|_: AnyEvent| async {});
    Service::new("stock").publishes::<AnyEvent>().subscription(handler)
}

async fn compare(service: Service, broker: &Broker) -> Comparison {
    within("comparing", service.broker(broker.clone()).compare()).await.expect("it is compared")
}

/// How many exchanges and queues of a plan are missing.
fn missing(comparison: &Comparison) -> usize {
    comparison.differences.iter().filter(|difference| matches!(difference, Difference::Missing { .. })).count()
}

fn size(plan: &Topology) -> usize {
    plan.exchanges.len() + plan.queues.len()
}

on_both! {
    async fn what_is_there_is_compared_and_what_is_not_stays_missing(place: Place) {
        let broker = broker(place);
        let (planned, other) = (|| stock(QueueType::Quorum), || stock(QueueType::Classic));
        let all = size(&planned().topology().unwrap());
        // By asking twice it does not come to be.
        for _ in 0..2 {
            assert_eq!(missing(&compare(planned(), &broker).await), all);
        }
        within("declaring", planned().broker(broker.clone()).declare()).await.unwrap();
        let comparison = compare(planned(), &broker).await;
        assert!(comparison.is_equal() && comparison.unchecked.len() == 3, "{comparison}");
        let comparison = compare(other(), &broker).await;
        let [Difference::Unequal { object, .. }] = &comparison.differences[..] else { panic!("{comparison}") };
        assert_eq!(*object, Object::Queue("stock.order".to_owned()));
        assert_eq!(comparison.unchecked.len(), 4, "{comparison}");
        assert!(compare(planned(), &broker).await.is_equal());
    }
}

on_both! {
    /// Somebody deletes each thing just when it was seen to be there.
    async fn what_goes_while_it_is_compared_does_not_come_back(place: Place) {
        let broker = broker(place);
        let service = || stock(QueueType::Quorum);
        let all = size(&service().topology().unwrap());
        within("declaring", service().broker(broker.clone()).declare()).await.unwrap();
        let deleted = Arc::new(AtomicUsize::new(0));
        let vanishing = Vanishing { inner: broker.transport().unwrap(), deleted: Arc::clone(&deleted) };
        let comparison = compare(service(), &Broker::new(vanishing)).await;
        assert_eq!(deleted.load(Ordering::Relaxed), all);
        assert_eq!((missing(&comparison), comparison.differences.len()), (all, all), "{comparison}");
        assert_eq!(missing(&compare(service(), &broker).await), all);
    }
}

/// A way to a broker on which whatever is found is gone a moment later.
#[derive(Debug)]
struct Vanishing {
    inner: Arc<dyn Transport>,
    deleted: Arc<AtomicUsize>,
}

impl Transport for Vanishing {
    fn address(&self) -> String {
        self.inner.address()
    }

    fn connect<'a>(
        &'a self,
        name: &'a str,
        clock: &'a Arc<dyn Clock>,
    ) -> BoxFuture<'a, Result<Arc<dyn Connection>, TransportError>> {
        Box::pin(async move {
            let inner = self.inner.connect(name, clock).await?;
            Ok(Arc::new(Gone { inner, deleted: Arc::clone(&self.deleted) }) as Arc<dyn Connection>)
        })
    }
}

struct Gone {
    inner: Arc<dyn Connection>,
    deleted: Arc<AtomicUsize>,
}

impl Connection for Gone {
    fn declare<'a>(&'a self, topology: &'a Topology, mode: TopologyMode) -> BoxFuture<'a, Result<(), TransportError>> {
        Box::pin(async move {
            self.inner.declare(topology, mode).await?;
            if mode == TopologyMode::Verify {
                for queue in &topology.queues {
                    self.inner.delete_queue(&queue.name).await?;
                }
                for exchange in &topology.exchanges {
                    self.inner.delete_exchange(&exchange.name).await?;
                }
                self.deleted.fetch_add(size(topology), Ordering::Relaxed);
            }
            Ok(())
        })
    }

    fn state(&self) -> ConnectionState {
        self.inner.state()
    }

    fn node(&self) -> String {
        self.inner.node()
    }

    fn lost(&self) -> BoxFuture<'static, ()> {
        self.inner.lost()
    }

    fn unblocked(&self) -> BoxFuture<'static, ()> {
        self.inner.unblocked()
    }

    fn frame_max(&self) -> usize {
        self.inner.frame_max()
    }

    fn declare_exclusive<'a>(&'a self, bindings: &'a [Binding]) -> BoxFuture<'a, Result<String, TransportError>> {
        self.inner.declare_exclusive(bindings)
    }

    fn unbind<'a>(&'a self, binding: &'a Binding) -> BoxFuture<'a, Result<(), TransportError>> {
        self.inner.unbind(binding)
    }

    fn delete_queue<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        self.inner.delete_queue(queue)
    }

    fn delete_exchange<'a>(&'a self, exchange: &'a str) -> BoxFuture<'a, Result<(), TransportError>> {
        self.inner.delete_exchange(exchange)
    }

    fn usage<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<Usage, TransportError>> {
        self.inner.usage(queue)
    }

    fn publish_channel(&self) -> BoxFuture<'_, Result<Box<dyn PublishChannel>, TransportError>> {
        self.inner.publish_channel()
    }

    fn consume_channel(&self, queue: String) -> BoxFuture<'_, Result<Box<dyn ConsumeChannel>, TransportError>> {
        self.inner.consume_channel(queue)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
