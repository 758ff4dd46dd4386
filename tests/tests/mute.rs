//! A queue that takes messages and never answers, as one without a leader does: it costs its own events, and nobody else's.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use rabbitry::{AnyEvent, PublishError, Service, Subscription, Unrouted};
use rabbitry_tests::{Header, Record, TestBroker, any, eventually, number, numbered, publish_numbers, within};

/// A quorum queue whose process stands still until it is told otherwise.
struct Mute<'a> {
    broker: &'a TestBroker,
}

impl<'a> Mute<'a> {
    async fn bound_for(broker: &'a TestBroker, event: &str) -> Self {
        let client = broker.client().await;
        client.declare_queue_with("mute", &[("x-queue-type", Header::LongString("quorum".into()))]).await;
        client.bind("mute", "events", event).await;
        Self { broker }
    }

    /// From now on. A channel's first message to it must have been before: RabbitMQ holds up the whole channel for that one.
    async fn begin(&self) {
        self.tell("suspend").await;
    }

    async fn end(&self) {
        self.tell("resume").await;
    }

    async fn tell(&self, what: &str) {
        let told = format!("sys:{what}('{}_mute').", self.broker.vhost());
        assert_eq!(self.broker.node().ctl(&["eval", &told]).await, "ok");
    }
}

async fn others_go_on(unrouted: Unrouted) {
    let broker = TestBroker::new().await;
    let service = Service::new("sender").publishes::<AnyEvent>().publish_timeout("500ms").publish_window(4);
    let running = broker.start(service.unrouted(unrouted)).await;
    let mute = Mute::bound_for(&broker, "muted").await;
    broker.client().await.declare_queue("well", "events", "wanted").await;
    let publisher = any(&running);
    publisher.publish(numbered("muted", 0)).await.unwrap();
    mute.begin().await;
    // More than the window holds, and none of them answered.
    for event in 1..10 {
        let error = within("an answer", publisher.publish(numbered("muted", event))).await.unwrap_err();
        // Where a batch waits for all of its answers, the next is not even written meanwhile.
        let expected = match unrouted {
            Unrouted::Fail => matches!(error, PublishError::TimedOut { .. } | PublishError::NeverSent { .. }),
            _ => matches!(error, PublishError::TimedOut { .. }),
        };
        assert!(expected && error.is_temporary(), "{error:?}");
    }
    eventually("they take no place in the window", || async {
        let four = join_all((0..4).map(|event| publisher.publish(numbered("wanted", event)))).await;
        four.iter().all(Result::is_ok)
    })
    .await;
    // And stay out of the way.
    assert_eq!(publisher.publish_all((4..100).map(|event| numbered("wanted", event))).await.unwrap(), 96);
    mute.end().await;
    within("an answer", publisher.publish(numbered("muted", 10))).await.unwrap();
    // What was written is there once: RabbitMQ had it.
    let client = broker.client().await;
    let mut arrived = BTreeSet::new();
    while !arrived.contains(&10) {
        let number = client.receive("mute", 1).await[0].json()["data"].as_u64().unwrap();
        assert!(arrived.insert(number), "{number} came twice");
    }
    assert!(arrived.len() > 2, "{arrived:?}");
    within("stopping", running.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_events_are_published() {
    others_go_on(Unrouted::Warn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_does_not_wait_for_it_for_ever() {
    others_go_on(Unrouted::Fail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_whose_events_it_takes_is_shown_as_stuck_and_not_run_again() {
    let broker = TestBroker::new().await;
    let runs = Record::default();
    let seen = runs.clone();
    let echo = Subscription::to("order").name("echo").concurrency(2).handler(move |event: AnyEvent| {
        seen.add(number(&event));
        let answer = numbered("muted", number(&event));
        async move { answer }
    });
    let service = Service::new("worker").publishes::<AnyEvent>().publish_timeout("500ms").subscription(echo);
    let running = broker.start(service).await;
    let mute = Mute::bound_for(&broker, "muted").await;
    let shown = || running.health().subscriptions.remove(0);
    any(&running).publish(numbered("muted", 0)).await.unwrap();
    mute.begin().await;
    publish_numbers(&any(&running), "order", 0..1).await;
    eventually("one is stuck", || async { shown().stuck == 1 }).await;
    assert!(shown().consuming && running.health().is_ready(), "one of two may be stuck: {:?}", shown());
    let reason = shown().problem.unwrap_or_default();
    assert!(reason.contains("not confirmed within 500ms"), "{reason}");
    publish_numbers(&any(&running), "order", 1..2).await;
    eventually("both are stuck", || async { shown().stuck == 2 && !running.health().is_ready() }).await;
    assert!(!shown().consuming);
    mute.end().await;
    eventually("none is stuck", || async { shown().stuck == 0 && running.health().is_ready() }).await;
    assert_eq!(shown().problem, None);
    publish_numbers(&any(&running), "order", 2..3).await;
    runs.wait_for(3).await;
    assert_eq!(runs.all(), [0, 1, 2], "a handler that had ended ran again");
    // One of the test's, and one of each run.
    let client = broker.client().await;
    let ids: BTreeSet<String> = client.receive("mute", 4).await.iter().map(rabbitry_tests::Raw::id).collect();
    assert_eq!((ids.len(), client.count("mute").await), (4, Some(0)));
    within("stopping", running.shutdown()).await.unwrap();
}
