//! Who gets an event, on RabbitMQ alone: the operator of a broker closes connections, which takes `rabbitmqctl`.

use rabbitry::{AnyEvent, Service, Subscription};
use rabbitry_tests::{Books, Record, TestBroker, any, assert_each_once, eventually, note, publish_numbers, stop};

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_receives_again_after_its_connection_was_lost() {
    let broker = TestBroker::new().await;
    let seen = Record::default();
    let refresh = Subscription::to("price").broadcast().handler(note(&seen));
    let running = broker.start(Service::new("cache").subscription(refresh)).await;
    let sender = broker.start(Service::new("sender").publishes::<AnyEvent>()).await;
    publish_numbers(&any(&sender), "price", 0..1).await;
    seen.wait_for(1).await;
    let before = broker.queues().await;
    broker.close_connections().await;
    // It may be up again before anybody sees it down, with a queue of another name.
    eventually("a new queue", || async { broker.queues().await.iter().any(|queue| !before.contains(queue)) }).await;
    eventually("it is up again", || async { running.health().is_ready() }).await;
    publish_numbers(&any(&sender), "price", 1..11).await;
    assert_each_once(seen.wait_for(11).await, 0..11);
    stop(running).await;
    stop(sender).await;
    Books::read(&broker).await.balance(11, 11);
}
