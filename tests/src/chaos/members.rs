//! A cluster of three under test: what befalls its nodes.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use super::{
    plan::{Fault, Kind},
    site::SETTLED,
};
use crate::{Cluster, Node, TestBroker, Turn};

/// Whose leaders are killed.
const LED: [&str; 6] =
    ["sink.take", "rabbitry.v1.delay.00", "sink.ship", "sink.take.dead", "sink.remind", "rabbitry.v1.delay.01"];

/// A cluster of three under test.
#[derive(Debug)]
pub struct Members {
    cluster: Turn,
    broker: TestBroker,
    /// The nodes that the fault of the moment has befallen.
    befallen: Mutex<Vec<Node>>,
    /// Whose turn it is to be restarted.
    turn: AtomicUsize,
}

impl Members {
    /// The tests' cluster.
    pub async fn whole() -> Self {
        let cluster = Cluster::whole().await;
        let broker = cluster.broker().await;
        Self { cluster, broker, befallen: Mutex::default(), turn: AtomicUsize::new(0) }
    }

    pub(super) fn broker(&self) -> &TestBroker {
        &self.broker
    }

    /// The AMQP URL of each node.
    pub(super) fn urls(&self) -> Vec<String> {
        self.cluster.members().iter().map(|node| self.broker.url_by(&[node])).collect()
    }

    /// What the nodes have written to their logs.
    pub(super) fn log(&self) -> String {
        self.cluster.members().iter().map(Node::log).collect()
    }

    /// Begins a fault of nodes; true if it is one.
    pub(super) async fn begin(&self, fault: &Fault, declared: Instant) -> bool {
        let victims = match fault.kind {
            Kind::KillLeader => vec![self.leader(fault.victim).await],
            Kind::RestartMember => vec![self.member(self.turn.fetch_add(1, Ordering::Relaxed))],
            Kind::KillMajority => self.cluster.others(self.member(fault.victim)),
            Kind::CutOff | Kind::StopApp | Kind::FreezeBroker => vec![self.member(fault.victim)],
            _ => return false,
        };
        *self.lock() = victims.iter().map(|node| (*node).clone()).collect();
        match fault.kind {
            Kind::KillLeader | Kind::KillMajority => {
                tokio::time::sleep_until((declared + SETTLED).into()).await;
                futures_util::future::join_all(victims.iter().map(|node| node.kill())).await;
            }
            _ => {
                for node in victims {
                    self.befall(fault.kind, node).await;
                }
            }
        }
        true
    }

    async fn befall(&self, kind: Kind, node: &Node) {
        match kind {
            Kind::RestartMember => {
                // As a rolling upgrade does.
                node.tool("rabbitmq-upgrade", &["drain"]).await;
                node.stop().await;
            }
            Kind::CutOff => self.cluster.cut_off(node).await,
            Kind::StopApp => _ = node.ctl(&["-q", "stop_app"]).await,
            _ => node.freeze().await,
        }
    }

    /// Ends it: the cluster is whole again.
    pub(super) async fn end(&self, kind: Kind) {
        let befallen = self.lock().clone();
        let nodes: Vec<&Node> = befallen.iter().collect();
        match (kind, nodes.as_slice()) {
            (Kind::KillLeader | Kind::RestartMember | Kind::KillMajority, nodes) => {
                return self.cluster.restart(nodes).await;
            }
            (Kind::CutOff, _) => self.cluster.heal().await,
            (Kind::StopApp, [node, ..]) => _ = node.ctl(&["-q", "start_app"]).await,
            (Kind::FreezeBroker, [node, ..]) => node.thaw().await,
            _ => return,
        }
        self.cluster.in_sync().await;
    }

    fn member(&self, victim: usize) -> &Node {
        let members = self.cluster.members();
        &members[victim % members.len()]
    }

    async fn leader(&self, victim: usize) -> &Node {
        self.cluster.leader_of(self.broker.vhost(), LED[victim % LED.len()]).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Node>> {
        self.befallen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
