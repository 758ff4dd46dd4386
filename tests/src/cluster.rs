//! A cluster of three private RabbitMQ nodes, whose members can be killed, restarted and cut off one by one.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, MutexGuard};

use crate::{
    DEADLINE, Node, TestBroker,
    broker::{line, script},
    eventually,
};

/// What makes a cluster notice a lost member soon: RabbitMQ's own default is a minute.
const SOON: &str = "net_ticktime = 4";

/// Whether the nodes are in sync, or which of them are not: lost by the others without its knowledge, or not running.
const QUESTION: &str = "
    Nodes = [NODES],
    Partitions = fun(Node) -> rpc:call(Node, rabbit_node_monitor, partitions, []) end,
    Down = [Node || Node <- Nodes, rpc:call(Node, rabbit, is_running, []) =/= true],
    Lost = [Node || Node <- Nodes, Others <- [Partitions(Node)], is_list(Others), length(Others) > 1],
    case {Lost, Down} of
        {[_ | _], _} -> {lost, Lost};
        {[], [_ | _]} -> {down, Down};
        {[], []} ->
            case {[{Node, Partitions(Node)} || Node <- Nodes, Partitions(Node) =/= []],
                  [element(4, amqqueue:get_name(Queue)) || Queue <- rabbit_quorum_queue:list_with_minimum_quorum()]} of
                {[], []} -> in_sync;
                {Split, Behind} -> {not_yet, Split, Behind}
            end
    end.";
/// How long a member may be down that comes back by itself.
const STUCK: Duration = Duration::from_secs(30);

/// A cluster of three nodes, that ends with this process at the latest. The minority of a partition pauses, as it should in
/// every cluster of three.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    members: Vec<Node>,
}

/// A cluster that tests use one after the other.
#[derive(Debug)]
pub struct Turn(MutexGuard<'static, Cluster>);

impl std::ops::Deref for Turn {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.0
    }
}

impl Cluster {
    /// The cluster that the tests of this process share, all of it running. They take turns, since each of them breaks it; what
    /// an earlier one left broken is mended first.
    pub async fn whole() -> Turn {
        static SHARED: OnceLock<Mutex<Cluster>> = OnceLock::new();
        crate::log();
        let shared = SHARED.get_or_init(|| {
            // No two processes share it: the one that ends first would take it away.
            let name = format!("tests-{}-cluster-{}", line(), std::process::id());
            Mutex::new(Cluster { name, members: Vec::new() })
        });
        let mut cluster = shared.lock().await;
        if !cluster.members.is_empty() {
            cluster.heal().await;
        }
        let process = std::process::id().to_string();
        script(&["cluster", &cluster.name, "--while", &process, "--set", SOON]).await;
        if cluster.members.is_empty() {
            for number in 1..=3 {
                let member = Node::named(format!("{}-{number}", cluster.name)).await;
                cluster.members.push(member);
            }
        }
        Turn(cluster)
    }

    /// Its nodes.
    #[must_use]
    pub fn members(&self) -> &[Node] {
        &self.members
    }

    /// Its nodes but this one.
    #[must_use]
    pub fn others(&self, than: &Node) -> Vec<&Node> {
        self.members.iter().filter(|member| *member != than).collect()
    }

    /// A virtual host of its own. Its URL names all nodes.
    pub async fn broker(&self) -> TestBroker {
        let broker = TestBroker::on(self.member(0)).await;
        broker.of(&self.members)
    }

    fn member(&self, index: usize) -> &Node {
        self.members.get(index).expect("it has three members")
    }

    /// The member that leads a queue, as another one sees it; `None` while there is none, or none that the other one knows.
    pub async fn leader_seen_by(&self, witness: &Node, vhost: &str, queue: &str) -> Option<&Node> {
        let arguments = ["-q", "list_queues", "-p", vhost, "--no-table-headers", "name", "leader"];
        let printed = witness.ctl(&arguments).await;
        let mut rows = printed.lines().filter_map(|line| line.split_once('\t'));
        let (_, leader) = rows.find(|(name, _)| *name == queue)?;
        self.members.iter().find(|member| leader.ends_with(&format!("@{}", member.host())))
    }

    /// The member that leads a queue, while all of them run.
    pub async fn leader_of(&self, vhost: &str, queue: &str) -> &Node {
        let leader = self.leader_seen_by(self.member(0), vhost, queue).await;
        leader.unwrap_or_else(|| panic!("queue {queue} has no leader"))
    }

    /// Waits until the others have another leader for a queue than this member.
    pub async fn leader_after(&self, gone: &Node, vhost: &str, queue: &str) -> &Node {
        let others = self.others(gone);
        let found = std::cell::Cell::new(None);
        eventually(format!("a new leader of {queue}"), || async {
            for witness in &others {
                let leader = self.leader_seen_by(witness, vhost, queue).await;
                if let Some(leader) = leader.filter(|leader| *leader != gone) {
                    found.set(Some(leader));
                    return true;
                }
            }
            false
        })
        .await;
        found.get().expect("it was found")
    }

    /// Starts members again, all at once, with their data, and waits until all queues have all their members back.
    pub async fn restart(&self, stopped: &[&Node]) {
        // A member may wait for another one that was stopped after it.
        futures_util::future::join_all(stopped.iter().map(|member| member.restart())).await;
        self.in_sync().await;
    }

    /// Waits until all members run and every quorum queue has all of its members.
    ///
    /// What does not come back by itself is restarted, as an operator has to. A member that stood still, or that was cut off
    /// for just as long as it takes to notice, is lost by the others and knows nothing of it, so it doesn't pause. And one of
    /// 3.10 that has paused may hang when it comes back, on a lock of Erlang's.
    pub async fn in_sync(&self) {
        let names: Vec<String> = self.members.iter().map(|member| format!("'rabbitry@{}'", member.host())).collect();
        let question = QUESTION.replace("NODES", &names.join(", "));
        let (since, mut down) = (Instant::now(), Instant::now());
        loop {
            // Any of them may be the one that is down.
            let mut answer = None;
            for member in &self.members {
                answer = member.asked("rabbitmqctl", &["-q", "eval", &question]).await;
                if answer.is_some() {
                    break;
                }
            }
            let answer = answer.unwrap_or_default();
            if answer == "in_sync" {
                return;
            }
            assert!(since.elapsed() < DEADLINE * 2, "{} does not get in sync: {answer}", self.name);
            if !answer.starts_with("{down") {
                down = Instant::now();
            }
            if answer.starts_with("{lost") || down.elapsed() > STUCK {
                let named = |member: &&Node| answer.contains(&format!("@{}'", member.host()));
                let stuck: Vec<&Node> = self.members.iter().filter(named).collect();
                let names: Vec<&str> = stuck.iter().map(|member| member.name()).collect();
                println!("restarting {}, since the cluster does not get in sync: {answer}", names.join(", "));
                futures_util::future::join_all(stuck.iter().map(|member| member.stop())).await;
                futures_util::future::join_all(stuck.iter().map(|member| member.restart())).await;
                down = Instant::now();
            }
        }
    }

    /// Cuts the links between a member and the others. No packet passes, and nothing says so; clients still reach all of them.
    pub async fn cut_off(&self, member: &Node) {
        script(&["cut", member.name()]).await;
    }

    /// Mends all links.
    pub async fn heal(&self) {
        script(&["heal", &self.name]).await;
    }
}
