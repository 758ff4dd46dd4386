//! What becomes of events when nodes of a cluster go: killed, restarted in turn, cut off, or too many at once.
//!
//! Each test keeps a ledger under a steady flow: every number whose publishing was confirmed is handled, or dead if it is one
//! of those that the handler rejects.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rabbitry::{
    AnyEvent, Attempt, HandlerError, PublishError, Publisher, QueueType, RetryPolicy, Running, Service, Subscription,
    prelude::*,
};
use rabbitry_tests::{
    Client, Cluster, DEADLINE, Node, Record, TestBroker, any, eventually, note, number, numbered, publish_numbers,
    stop, within,
};
use tokio::task::JoinHandle;

/// How many publishers a flow has.
const WIDTH: u64 = 8;
/// How long each of them waits from one event to the next: some hundreds a second in all.
const PACE: Duration = Duration::from_millis(20);
/// How soon a service is back once the cluster can serve it. It takes a few seconds; a machine that is busy may take more.
const BACK: Duration = Duration::from_secs(45);

/// Whether the handler rejects this number.
fn dies(number: u64) -> bool {
    number % 100 == 50
}

/// A service whose handler retries some numbers by the delay ladder and rejects others; what it handles is added to the record.
fn shop(handled: &Record<u64>) -> Service {
    let record = handled.clone();
    let handler = move |event: AnyEvent, attempt: Attempt| {
        let (number, record) = (number(&event), record.clone());
        async move {
            if dies(number) {
                Err("nobody wants it").or_reject()?;
            }
            if number % 10 == 5 && attempt.number == 1 {
                return Err("not yet".into());
            }
            record.add(number);
            Ok::<_, HandlerError>(())
        }
    };
    let policy = RetryPolicy::default().immediate(0).first(Duration::from_secs(1)).jitter(0.0);
    let subscription = Subscription::to("order").retry(policy).handler(handler);
    Service::new("shop").publishes::<AnyEvent>().subscription(subscription)
}

const WORK: &str = "shop.order";
const LEVEL: &str = "rabbitry.v1.delay.00";
const DEAD: &str = "shop.order.dead";

async fn start(service: Service, url: String) -> Running {
    within("starting", service.broker(url).start()).await.expect("the service starts")
}

/// A steady flow of numbers through publishers.
struct Flow {
    next: Arc<AtomicU64>,
    confirmed: Record<u64>,
    failed: Record<(u64, String)>,
    enough: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Flow {
    fn of(services: &[&Running]) -> Self {
        let mut flow = Self {
            next: Arc::default(),
            confirmed: Record::default(),
            failed: Record::default(),
            enough: Arc::default(),
            tasks: Vec::new(),
        };
        for service in services {
            for _ in 0..WIDTH {
                flow.tasks.push(tokio::spawn(flow.publish_by(any(service))));
            }
        }
        flow
    }

    fn publish_by(&self, publisher: Publisher<AnyEvent>) -> impl Future<Output = ()> + use<> {
        let (next, enough) = (Arc::clone(&self.next), Arc::clone(&self.enough));
        let (confirmed, failed) = (self.confirmed.clone(), self.failed.clone());
        async move {
            let mut pace = tokio::time::interval(PACE);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !enough.load(Ordering::Relaxed) {
                pace.tick().await;
                let number = next.fetch_add(1, Ordering::Relaxed);
                match publisher.publish(numbered("order", number)).await {
                    Ok(_) => confirmed.add(number),
                    Err(error) => failed.add((number, error.to_string())),
                }
            }
        }
    }

    /// Ends it.
    async fn end(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            within("the last confirms", task).await.expect("the publisher does not panic");
        }
    }
}

/// Waits until so many more are handled, and says how long that took.
async fn progress(what: &str, handled: &Record<u64>) -> Duration {
    let since = Instant::now();
    handled.wait_for(handled.len() + 200).await;
    println!("{what}: 200 more were handled after {:?}", since.elapsed());
    since.elapsed()
}

/// Checks the ledger, once the cluster is whole again, and stops the services.
async fn settle(broker: &TestBroker, mut flow: Flow, handled: &[&Record<u64>], services: Vec<Running>) {
    flow.end().await;
    let confirmed: BTreeSet<u64> = flow.confirmed.all().into_iter().collect();
    let failed: BTreeSet<u64> = flow.failed.all().into_iter().map(|(number, _)| number).collect();
    let (dead, alive): (BTreeSet<u64>, BTreeSet<u64>) = confirmed.iter().copied().partition(|number| dies(*number));
    let seen = || handled.iter().flat_map(|record| record.all()).collect::<Vec<u64>>();
    let missing = || {
        let seen: BTreeSet<u64> = seen().into_iter().collect();
        alive.difference(&seen).copied().collect::<BTreeSet<u64>>()
    };
    let since = Instant::now();
    while !missing().is_empty() {
        if since.elapsed() > DEADLINE {
            let queues = broker.list("list_queues", &["name", "messages", "leader", "online"]).await;
            panic!("confirmed, and neither handled nor dead: {:?}; {queues:?}", missing());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    println!("all was handled {:?} after the last confirm", since.elapsed());
    // What is dead stays, and is as many by the time that it is counted: the handler is done with all.
    let client = broker.client().await;
    let buried = Record::default();
    eventually("everything rejected is dead", || async {
        while let Some(letter) = client.take(DEAD).await {
            let number = letter.json()["data"].as_u64().expect("it is a number");
            assert!(dies(number), "{number} is dead: {}", letter.text("rabbitry-error"));
            buried.add(number);
        }
        dead.is_subset(&buried.all().into_iter().collect())
    })
    .await;
    for service in services {
        eventually("all are ready", || async { service.health().is_ready() }).await;
        stop(service).await;
    }
    assert_eq!(client.count("rabbitry.v1.undeliverable").await, Some(0));
    let (all, distinct) = (seen(), seen().into_iter().collect::<BTreeSet<_>>());
    println!(
        "ledger: {} confirmed, {} not; {} handled and {} dead of these; {} runs twice; 0 lost",
        confirmed.len(),
        failed.len(),
        alive.len(),
        dead.len(),
        all.len() - distinct.len()
    );
    let published: BTreeSet<u64> = confirmed.union(&failed).copied().collect();
    assert!(distinct.is_subset(&published), "something was handled that was never published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_is_replaced_and_nothing_is_lost() {
    let cluster = Cluster::whole().await;
    let broker = cluster.broker().await;
    let handled = Record::default();
    let running = start(shop(&handled).publish_timeout("2m"), broker.url()).await;
    let flow = Flow::of(&[&running]);
    for queue in [WORK, LEVEL, DEAD] {
        progress("before", &handled).await;
        let leader = cluster.leader_of(broker.vhost(), queue).await;
        leader.kill().await;
        // While there may be no leader, another instance starts.
        let starting = tokio::spawn(shop(&handled).broker(broker.url()).start());
        cluster.leader_after(leader, broker.vhost(), queue).await;
        let back = progress(&format!("the leader of {queue} was killed"), &handled).await;
        assert!(back < BACK, "{back:?}");
        let second = within("starting", starting).await.unwrap().expect("it starts without the leader, too");
        cluster.restart(&[leader]).await;
        stop(second).await;
    }
    assert_eq!(flow.failed.all(), []);
    settle(&broker, flow, &[&handled], vec![running]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_restart_in_turn_lose_nothing() {
    let cluster = Cluster::whole().await;
    let broker = cluster.broker().await;
    let handled = Record::default();
    let running = start(shop(&handled).publish_timeout("2m"), broker.url()).await;
    let flow = Flow::of(&[&running]);
    for member in cluster.members() {
        // As a rolling upgrade does, with all nodes in sync before each.
        member.tool("rabbitmq-upgrade", &["drain"]).await;
        let back = progress("one is drained", &handled).await;
        assert!(back < BACK, "{back:?}");
        member.stop().await;
        let back = progress("it is stopped", &handled).await;
        assert!(back < BACK, "{back:?}");
        cluster.restart(&[member]).await;
        progress("it is back", &handled).await;
    }
    assert_eq!(flow.failed.all(), []);
    settle(&broker, flow, &[&handled], vec![running]).await;
}

fn is_down(service: &Running) -> bool {
    !service.health().publishing.is_up()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_cut_off_confirms_nothing_that_is_lost() {
    let cluster = Cluster::whole().await;
    let broker = cluster.broker().await;
    let [first, second, third] = cluster.members() else { panic!("a cluster of three") };
    let (by_first, by_others) = (Record::default(), Record::default());
    // All queues are led by the node that declares them.
    let alone = start(shop(&by_first).publish_timeout("5s"), broker.url_by(&[first])).await;
    let together = start(shop(&by_others).publish_timeout("2m"), broker.url_by(&[second, third])).await;
    let flow = Flow::of(&[&alone, &together]);
    let both = async |what: &str| tokio::join!(progress(what, &by_first), progress(what, &by_others));
    both("before").await;
    assert_eq!(cluster.leader_of(broker.vhost(), WORK).await, first);

    // One service sits with the leader in the minority, the other with the majority.
    cluster.cut_off(first).await;
    cluster.leader_after(first, broker.vhost(), WORK).await;
    let back = progress("the leader is cut off", &by_others).await;
    assert!(back < BACK, "{back:?}");
    eventually("the minority pauses", || async { is_down(&alone) }).await;
    assert_eq!(alone.health().publishing.node, Some(format!("{}:5672", first.host())));
    cluster.heal().await;
    cluster.in_sync().await;
    eventually("it is healed", || async { alone.health().is_ready() }).await;
    both("it is healed").await;

    // One of the nodes that the second service may use is cut off; the first service is with the majority.
    let failed = flow.failed.len();
    cluster.cut_off(second).await;
    eventually("the minority pauses", || async {
        tokio::net::TcpStream::connect((second.host(), 5672)).await.is_err()
    })
    .await;
    let (first_back, second_back) = both("another one is cut off").await;
    assert!(first_back < BACK && second_back < BACK, "{first_back:?} {second_back:?}");
    cluster.heal().await;
    cluster.in_sync().await;
    both("it is healed").await;
    println!("{failed} failed in the first partition, {} in the second", flow.failed.len() - failed);
    settle(&broker, flow, &[&by_first, &by_others], vec![alone, together]).await;
}

/// What happens while one node of three is left. Whether it pauses is the cluster's setting.
async fn without_a_majority(pauses: bool) {
    let cluster = Cluster::whole().await;
    let broker = cluster.broker().await;
    let [left, others @ ..] = cluster.members() else { panic!("a cluster of three") };
    let others: Vec<&Node> = others.iter().collect();
    let handling = async |handling: &str| {
        left.ctl(&["eval", &format!("application:set_env(rabbit, cluster_partition_handling, {handling}).")]).await;
    };
    let handled = Record::default();
    let running = start(shop(&handled).publish_timeout("6s"), broker.url()).await;
    let flow = Flow::of(&[&running]);
    progress("before", &handled).await;
    if !pauses {
        handling("ignore").await;
    }
    futures_util::future::join_all(others.iter().map(|node| node.kill())).await;

    // Whatever is published from now on cannot be stored by a majority.
    let publisher = any(&running);
    for round in 0..3 {
        let number = flow.next.fetch_add(1, Ordering::Relaxed);
        let error = within("an answer", publisher.publish(numbered("order", number))).await;
        let error = error.expect_err("nothing is confirmed without a majority");
        println!("round {round}: {error}");
        // Not confirmed in time, or refused by a queue without a leader, or not even sent.
        use PublishError::{Nacked, NeverSent, TimedOut};
        assert!(matches!(error, TimedOut { .. } | Nacked { .. } | NeverSent { .. }), "{error:?}");
        flow.failed.add((number, error.to_string()));
    }
    let starting = tokio::spawn(shop(&handled).broker(broker.url()).start());
    if pauses {
        eventually("the last one pauses", || async { is_down(&running) }).await;
        assert!(!running.health().is_ready());
    }
    cluster.restart(&others).await;
    let back = progress("the majority is back", &handled).await;
    assert!(back < BACK, "{back:?}");
    let second = within("starting", starting).await.unwrap().expect("it starts with the majority");
    if !pauses {
        handling("pause_minority").await;
    }
    stop(second).await;
    settle(&broker, flow, &[&handled], vec![running]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_confirmed_and_all_goes_on_after() {
    without_a_majority(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_on_without_a_majority_confirms_nothing_either() {
    without_a_majority(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_queue_whose_node_is_away_holds_up_nothing_else() {
    let cluster = Cluster::whole().await;
    let broker = cluster.broker().await;
    let [first, second, home] = cluster.members() else { panic!("a cluster of three") };
    // It lives on the node that it is declared by.
    let client = Client::connect(&broker.url_by(&[home])).await;
    client.declare_queue_with("in", &[]).await;
    client.close().await;
    let (handled, legacy) = (Record::default(), Record::default());
    let both = || {
        let taken = Subscription::to("order").name("legacy").queue("in").queue_type(QueueType::Existing);
        shop(&handled).subscription(taken.handler(note(&legacy)))
    };
    let url = broker.url_by(&[first, second]);
    let running = start(both(), url.clone()).await;
    publish_numbers(&any(&running), "order", 0..5).await;
    legacy.wait_for_all(0..5).await;

    home.kill().await;
    broker.close_connections().await;
    let away = |running: &Running| {
        let subscriptions = running.health().subscriptions;
        let consuming = |queue: &str| subscriptions.iter().any(|other| other.queue == queue && other.consuming);
        consuming(WORK) && !consuming("in")
    };
    eventually("only the classic queue is away", || async { away(&running) }).await;
    // What is published now is for the other one: 3.10 leaves the classic queue out, 4.0 says no for it.
    let published = any(&running).publish(numbered("order", 6)).await;
    assert!(matches!(published, Ok(_) | Err(PublishError::Nacked { .. })), "{published:?}");
    handled.wait_for_all(6..7).await;
    // That it is away is no refusal.
    let mut starting = tokio::spawn(both().broker(url).start());
    let early = tokio::time::timeout(Duration::from_secs(2), &mut starting).await;
    assert!(early.is_err(), "{early:?}");

    cluster.restart(&[home]).await;
    eventually("all are back", || async { running.health().is_ready() }).await;
    let second = within("starting", starting).await.unwrap().expect("it starts once the queue is back");
    publish_numbers(&any(&running), "order", 10..15).await;
    legacy.wait_for_all(10..15).await;
    stop(second).await;
    stop(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_may_name_nodes_that_are_away() {
    let broker = TestBroker::new().await;
    let url = broker.url();
    let node = url.split(['@', '/']).nth(3).unwrap().to_owned();
    // Nobody listens on the first port. One of the two connections begins with it.
    let seen = Record::default();
    let service = || Service::new("echo").publishes::<AnyEvent>().subscribe("order", note(&seen));
    let running = start(service(), url.replace(&node, &format!("127.0.0.1:1,{node}"))).await;
    let health = running.health();
    assert_eq!((health.publishing.node, health.consuming.unwrap().node), (Some(node.clone()), Some(node.clone())));
    publish_numbers(&any(&running), "order", 0..3).await;
    seen.wait_for(3).await;
    stop(running).await;
    // What the node that is there refuses is refused.
    let wrong = url.replace("guest:guest", "guest:wrong").replace(&node, &format!("{node},127.0.0.1:1"));
    let error = within("a refusal", service().broker(wrong).start()).await.unwrap_err().to_string();
    assert!(error.contains("403") && error.contains(&format!("(said {node})")), "{error}");
    assert!(error.contains(&format!("amqp://guest:***@{node},127.0.0.1:1/")), "{error}");
}
