//! What becomes of events whose confirm does not come, and what their publishers are told: on a broker that does what the
//! test says, so that each case is exact.

use std::time::{Duration, SystemTime};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use rabbitry::{
    AnyEvent, Clock, Obstacle, PublishError, Published, Running, Service, Unrouted,
    transport::{Confirmed, Returned, TransportError},
};
use rabbitry_tests::{Answer, Puppet, Written, any, eventually, numbered, stop, within};
use tokio::sync::watch;

/// How long publishers wait: until the test says that it is over.
const PATIENCE: Duration = Duration::from_secs(777);

/// The machine's clock, but for waits of [`PATIENCE`].
#[derive(Clone, Debug, Default)]
struct Patience {
    lost: watch::Sender<u64>,
}

impl Patience {
    /// Whoever waits has waited long enough.
    fn is_over(&self) {
        self.lost.send_modify(|times| *times += 1);
    }
}

impl Clock for Patience {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration != PATIENCE {
            return tokio::time::sleep(duration).boxed();
        }
        let mut lost = self.lost.subscribe();
        async move {
            // Without a sender the test is over.
            let _ = lost.changed().await;
        }
        .boxed()
    }
}

struct Scene {
    puppet: Puppet,
    patience: Patience,
    running: Running,
}

type Waiting = BoxFuture<'static, Result<Published, PublishError>>;

impl Scene {
    async fn new(change: impl FnOnce(Service) -> Service) -> Self {
        rabbitry_tests::log();
        let (puppet, patience) = (Puppet::default(), Patience::default());
        let service = Service::new("sender").publishes::<AnyEvent>().publish_timeout(PATIENCE);
        let service = change(service).clock(patience.clone()).broker(puppet.broker());
        let running = within("starting", service.start()).await.unwrap();
        puppet.opened(1).await;
        Self { puppet, patience, running }
    }

    /// Begins to publish events with these ids, in their order.
    fn publish(&self, ids: &[&str]) -> Vec<Waiting> {
        let publisher = any(&self.running);
        let begin = |id: &&str| {
            let mut waiting = publisher.event(numbered("order", 0)).id(*id).publish().boxed();
            assert!((&mut waiting).now_or_never().is_none());
            waiting
        };
        ids.iter().map(begin).collect()
    }

    /// What publishers are told whose time is over.
    async fn give_up(&self, waiting: Vec<Waiting>) -> Vec<PublishError> {
        self.patience.is_over();
        errors(waiting).await
    }

    /// The messages that were written, by their ids.
    fn ids(&self) -> Vec<String> {
        self.puppet.written().into_iter().map(|written| written.id).collect()
    }

    /// Publishes one more, which is written after all that was to be written before it.
    async fn flush(&self, written: usize) -> Vec<String> {
        let last = self.publish(&["last"]);
        self.puppet.wait_for(written + 1).await;
        self.puppet.confirm(usize::MAX);
        assert!(answers(last).await[0].is_ok());
        self.ids()
    }
}

async fn answers(waiting: Vec<Waiting>) -> Vec<Result<Published, PublishError>> {
    within("answers", join_all(waiting)).await
}

async fn errors(waiting: Vec<Waiting>) -> Vec<PublishError> {
    answers(waiting).await.into_iter().map(Result::unwrap_err).collect()
}

fn written(channel: usize, ids: &[&str]) -> Vec<Written> {
    ids.iter().map(|id| Written { channel, id: (*id).to_owned() }).collect()
}

fn refused(text: &str) -> Answer {
    Err(TransportError::Refused { code: 404, text: text.to_owned() })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unconfirmed_is_sent_again_in_its_order_with_its_id() {
    let scene = Scene::new(|service| service).await;
    let mut waiting = scene.publish(&["a", "b", "c", "d", "e"]);
    assert_eq!(scene.puppet.wait_for(5).await, written(1, &["a", "b", "c", "d", "e"]));
    scene.puppet.confirm(2);
    assert!(answers(waiting.drain(..2).collect()).await.iter().all(Result::is_ok));
    scene.puppet.go_away("gone");
    // Those that come meanwhile go behind them.
    waiting.extend(scene.publish(&["f", "g"]));
    scene.puppet.come_back();
    let all = scene.puppet.wait_for(10).await;
    assert_eq!(all[5..], written(2, &["c", "d", "e", "f", "g"]));
    // Lost once more, in the middle of the answers.
    scene.puppet.confirm(1);
    assert!(answers(vec![waiting.remove(0)]).await[0].is_ok());
    scene.puppet.lose("lost");
    let all = scene.puppet.wait_for(14).await;
    assert_eq!(all[10..], written(3, &["d", "e", "f", "g"]));
    scene.puppet.confirm(4);
    let published = answers(waiting).await;
    let ids: Vec<_> = published.iter().map(|published| published.as_ref().unwrap().id()).collect();
    assert_eq!(ids, ["d", "e", "f", "g"]);
    stop(scene.running).await;
    assert_eq!(scene.puppet.written().len(), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_only_what_was_written_is_unknown() {
    let scene = Scene::new(|service| service).await;
    let before = SystemTime::now();
    let known = scene.publish(&["written"]);
    scene.puppet.wait_for(1).await;
    scene.puppet.go_away("pulled the plug");
    eventually("it is noticed", async || !scene.running.health().is_ready()).await;
    let mut waiting = scene.publish(&["late", "later"]);
    waiting.extend(known);
    let errors = scene.give_up(waiting).await;
    for error in &errors {
        let (obstacle, unknown) = match error {
            PublishError::NeverSent { event, after: PATIENCE, obstacle } if event == "order" => (obstacle, false),
            PublishError::TimedOut { event, after: PATIENCE, obstacle } if event == "order" => (obstacle, true),
            other => panic!("{other:?}"),
        };
        let Obstacle::Away { since, reason } = obstacle else { panic!("{error:?}") };
        assert!(*since >= before && *since <= SystemTime::now() && reason.contains("pulled the plug"), "{error:?}");
        assert!(error.is_temporary() && error.may_have_arrived() == unknown, "{error:?}");
    }
    assert_eq!(errors.iter().map(PublishError::may_have_arrived).collect::<Vec<_>>(), [false, false, true]);
    assert!(errors[0].to_string().contains("will not be: it could not be sent within 777s"), "{}", errors[0]);
    assert!(errors[0].to_string().contains("is lost since 20"), "{}", errors[0]);
    assert!(errors[2].to_string().contains("so it may still arrive"), "{}", errors[2]);
    scene.puppet.come_back();
    // Nor is the unknown one sent once more: its publisher may have tried again by itself.
    assert_eq!(scene.flush(1).await, ["written", "last"]);
    stop(scene.running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_to_a_blocked_connection() {
    for unrouted in [Unrouted::Warn, Unrouted::Fail] {
        let scene = Scene::new(|service| service.unrouted(unrouted)).await;
        let ghost = scene.publish(&["ghost"]);
        scene.puppet.wait_for(1).await;
        scene.puppet.block("low on memory");
        let mut waiting = scene.publish(&["one", "two"]);
        waiting.extend(ghost);
        let patient = scene.publish(&["dropped"]);
        drop(patient);
        let errors = scene.give_up(waiting).await;
        let low = Obstacle::Blocked { reason: "low on memory".to_owned() };
        for error in &errors[..2] {
            assert!(matches!(error, PublishError::NeverSent { obstacle, .. } if *obstacle == low), "{error:?}");
            assert!(error.to_string().contains("takes nothing from publishers (low on memory)"), "{error}");
        }
        let error = &errors[2];
        assert!(matches!(error, PublishError::TimedOut { obstacle, .. } if *obstacle == low), "{error:?}");
        let waiting = scene.publish(&["three", "four"]);
        assert_eq!(scene.ids(), ["ghost"]);
        scene.puppet.unblock();
        // The ghost still owes its answer, without which a batch is not complete.
        scene.puppet.confirm(1);
        scene.puppet.wait_for(3).await;
        scene.puppet.confirm(usize::MAX);
        assert!(answers(waiting).await.iter().all(Result::is_ok));
        assert_eq!(scene.flush(3).await, ["ghost", "three", "four", "last"]);
        stop(scene.running).await;
    }
}

/// What is given up while nothing can be written holds no place in the window, and nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_makes_room() {
    let scene = Scene::new(|service| service.publish_window(2).grace("1h")).await;
    for (hinder, help) in [
        (Puppet::block as fn(&Puppet, &str), Puppet::unblock as fn(&Puppet)),
        (Puppet::go_away as fn(&Puppet, &str), Puppet::come_back as fn(&Puppet)),
    ] {
        let before = scene.puppet.written().len();
        hinder(&scene.puppet, "no");
        eventually("it is noticed", async || !scene.running.health().is_ready()).await;
        let [first, second, third, fourth] = ["1", "2", "3", "4"].map(|id| scene.publish(&[id]));
        // The other two have no place before that.
        drop((first, second));
        let mut waiting: Vec<_> = third.into_iter().chain(fourth).collect();
        help(&scene.puppet);
        let both = async { tokio::join!(join_all(waiting.drain(..)), scene.puppet.wait_for(before + 2)) };
        let confirming = async {
            scene.puppet.wait_for(before + 2).await;
            scene.puppet.confirm(2);
        };
        let ((answers, _), ()) = within("publishing", async { tokio::join!(both, confirming) }).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(scene.ids()[before..], ["3", "4"]);
    }
    // Nor does it hold up the end of the service, whose grace is an hour.
    scene.puppet.go_away("for ever");
    let waiting = scene.publish(&["5", "6", "7"]);
    let shutdown = async {
        let ((), errors) = tokio::join!(async { within("stopping", scene.running.shutdown()).await.unwrap() }, async {
            scene.give_up(waiting).await
        });
        errors
    };
    for error in shutdown.await {
        assert!(!error.may_have_arrived(), "{error:?}");
    }
    assert_eq!(scene.puppet.written().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_window_is_named() {
    let scene = Scene::new(|service| service.publish_window(2)).await;
    let mut waiting = scene.publish(&["1", "2"]);
    scene.puppet.wait_for(2).await;
    waiting.extend(scene.publish(&["3"]));
    let errors = scene.give_up(waiting).await;
    for error in &errors[..2] {
        assert!(matches!(error, PublishError::TimedOut { obstacle: Obstacle::Slow, .. }), "{error:?}");
        assert!(error.may_have_arrived() && error.to_string().contains("has no leader"), "{error}");
    }
    let full = Obstacle::WindowFull { size: 2 };
    assert!(matches!(&errors[2], PublishError::NeverSent { obstacle, .. } if *obstacle == full), "{:?}", errors[2]);
    assert!(errors[2].to_string().contains("the publish window is full of 2 events"), "{}", errors[2]);
    assert_eq!(scene.ids(), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_certainly_not_published_unless_it_was_sent_before() {
    let scene = Scene::new(|service| service).await;
    // Alone: there is no doubt which one it was. It is tried once more, when the exchange was declared again.
    let alone = scene.publish(&["alone"]);
    for tries in 1..=2 {
        scene.puppet.wait_for(tries).await;
        scene.puppet.answer(&refused("no exchange"));
    }
    let error = errors(alone).await.remove(0);
    assert!(matches!(&error, PublishError::Refused { code: 404, in_doubt: false, .. }), "{error:?}");
    assert!(!error.may_have_arrived() && !error.is_temporary(), "{error:?}");

    // One of two: the first may have been stored, and its exchange deleted before it is sent again.
    let two = scene.publish(&["a", "b"]);
    assert_eq!(scene.puppet.wait_for(4).await[2..], written(3, &["a", "b"]));
    scene.puppet.answer_all(&refused("no exchange"));
    for tries in 5..=6 {
        scene.puppet.wait_for(tries).await;
        scene.puppet.answer(&refused("no exchange"));
    }
    scene.puppet.wait_for(7).await;
    scene.puppet.confirm(1);
    let answers = answers(two).await;
    let error = answers[0].as_ref().unwrap_err();
    assert!(matches!(error, PublishError::Refused { in_doubt: true, .. }), "{error:?}");
    assert!(error.may_have_arrived() && error.to_string().contains("may have arrived"), "{error}");
    assert!(answers[1].is_ok(), "{answers:?}");

    // The connection was lost before its answer.
    let lost = scene.publish(&["lost"]);
    scene.puppet.wait_for(8).await;
    scene.puppet.lose("lost");
    for tries in 9..=10 {
        scene.puppet.wait_for(tries).await;
        scene.puppet.answer(&refused("no exchange"));
    }
    let error = errors(lost).await.remove(0);
    assert!(matches!(error, PublishError::Refused { in_doubt: true, .. }), "{error:?}");
    let all = ["alone", "alone", "a", "b", "a", "a", "b", "lost", "lost", "lost", "last"];
    assert_eq!(scene.flush(10).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unrouted_event_is_certainly_not_published_unless_it_was_sent_before() {
    let scene = Scene::new(|service| service.unrouted(Unrouted::Fail)).await;
    for (round, in_doubt) in [(0, false), (1, true)] {
        let waiting = scene.publish(&["x"]);
        scene.puppet.wait_for(round + 1).await;
        if in_doubt {
            scene.puppet.lose("lost");
            scene.puppet.wait_for(round + 2).await;
        }
        let returned =
            Returned { message_id: Some("x".into()), exchange: "events".into(), routing_key: "order".into() };
        scene.puppet.answer(&Ok((Confirmed::Ack, Some(returned))));
        let error = errors(waiting).await.remove(0);
        assert!(matches!(&error, PublishError::Unrouted { in_doubt: told, .. } if *told == in_doubt), "{error:?}");
        assert_eq!(error.may_have_arrived(), in_doubt, "{error:?}");
    }
}

/// In one thread, so that all answers have come when the first is read.
#[tokio::test]
async fn what_comes_back_with_the_last_of_a_batch_may_be_its_first() {
    let scene = Scene::new(|service| service.unrouted(Unrouted::Fail)).await;
    let waiting = scene.publish(&["a", "b", "c"]);
    scene.puppet.wait_for(3).await;
    scene.puppet.confirm(2);
    let returned = Returned { message_id: Some("a".into()), exchange: "events".into(), routing_key: "order".into() };
    scene.puppet.answer(&Ok((Confirmed::Ack, Some(returned))));
    let answers = answers(waiting).await;
    assert!(matches!(answers[0], Err(PublishError::Unrouted { in_doubt: false, .. })), "{answers:?}");
    assert!(answers[1].is_ok() && answers[2].is_ok(), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_service_tells_what_was_sent_from_what_was_not() {
    let scene = Scene::new(|service| service.publish_window(2)).await;
    let mut waiting = scene.publish(&["sent"]);
    scene.puppet.wait_for(1).await;
    scene.puppet.block("low on memory");
    // One has a place and waits for the broker, the other waits for a place.
    waiting.extend(scene.publish(&["held", "outside"]));
    let publisher = any(&scene.running);
    drop(scene.running);
    let outside = waiting.remove(2);
    for (error, unknown) in errors(waiting).await.iter().zip([true, false]) {
        assert_eq!(matches!(error, PublishError::CutOff { event } if event == "order"), unknown, "{error:?}");
        assert_eq!(matches!(error, PublishError::Closed { event } if event == "order"), !unknown, "{error:?}");
        assert!(error.is_temporary() && error.may_have_arrived() == unknown, "{error:?}");
    }
    for waiting in [outside, publisher.publish(numbered("order", 0)).boxed()] {
        let error = within("an answer", waiting).await.unwrap_err();
        assert!(matches!(error, PublishError::Closed { .. }) && !error.may_have_arrived(), "{error:?}");
    }
    assert_eq!(scene.puppet.written(), written(1, &["sent"]));
}
