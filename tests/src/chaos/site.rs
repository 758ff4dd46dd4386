//! The broker under test, and what can be done to it.

use std::time::{Duration, Instant};

use super::{
    members::Members,
    plan::{Fault, Kind},
};
use crate::{TestBroker, eventually};

/// RabbitMQ itself loses a quorum queue that was declared in the last second before it is killed; this is well beyond.
pub(super) const SETTLED: Duration = Duration::from_secs(3);
/// Less than any broker has, and what the nodes of the tests are allowed.
const WATERMARKS: [&str; 2] = ["1", "2GB"];

/// The broker under test. The suite itself does not know what it is made of.
#[derive(Debug)]
pub enum Site {
    /// A node alone.
    Node(TestBroker),
    /// A cluster of three.
    Cluster(Members),
}

impl Site {
    /// The kinds of faults that it can have.
    #[must_use]
    pub fn kinds(&self) -> &'static [Kind] {
        match self {
            Self::Node(_) => &Kind::ALL,
            Self::Cluster(_) => &Kind::CLUSTER,
        }
    }

    /// What the tests know of it.
    pub(crate) fn broker(&self) -> &TestBroker {
        match self {
            Self::Node(broker) => broker,
            Self::Cluster(members) => members.broker(),
        }
    }

    /// The AMQP URLs of its nodes.
    pub(crate) fn urls(&self) -> Vec<String> {
        match self {
            Self::Node(broker) => vec![broker.url()],
            Self::Cluster(members) => members.urls(),
        }
    }

    /// Which version it is.
    pub(crate) async fn version(&self) -> String {
        let printed = self.broker().node().ctl(&["-q", "version"]).await;
        printed.lines().last().unwrap_or_default().to_owned()
    }

    /// Begins a fault of the broker; true if it is one.
    pub(crate) async fn begin(&self, fault: &Fault, declared: Instant) -> bool {
        if let Self::Cluster(members) = self
            && members.begin(fault, declared).await
        {
            return true;
        }
        let node = self.broker().node();
        match fault.kind {
            Kind::KillBroker => {
                tokio::time::sleep_until((declared + SETTLED).into()).await;
                node.kill().await;
            }
            Kind::StopBroker => node.stop().await,
            Kind::StopApp => _ = node.ctl(&["-q", "stop_app"]).await,
            Kind::FreezeBroker => node.freeze().await,
            Kind::Alarm => self.alarm(true).await,
            Kind::CloseConnections => {
                self.broker().close_connections().await;
                // Some runs outlive both, and what came by the first has its like on the second.
                tokio::time::sleep(fault.lasts / 2).await;
                self.broker().close_connections().await;
            }
            _ => return false,
        }
        true
    }

    /// Ends it.
    pub(crate) async fn end(&self, kind: Kind) {
        if let Self::Cluster(members) = self {
            members.end(kind).await;
        }
        let node = self.broker().node();
        match kind {
            Kind::StopApp | Kind::FreezeBroker if matches!(self, Self::Cluster(_)) => {}
            Kind::KillBroker | Kind::StopBroker => node.restart().await,
            Kind::StopApp => _ = node.ctl(&["-q", "start_app"]).await,
            Kind::FreezeBroker => node.thaw().await,
            Kind::Alarm => self.alarm(false).await,
            // Once more.
            Kind::CloseConnections => self.broker().close_connections().await,
            _ => {}
        }
    }

    async fn alarm(&self, on: bool) {
        let node = self.broker().node();
        node.ctl(&["-q", "set_vm_memory_high_watermark", "absolute", WATERMARKS[usize::from(!on)]]).await;
        eventually("the alarm is as it shall be", || async {
            let alarms = node.ctl(&["-q", "eval", "rabbit_alarm:get_alarms()."]).await;
            alarms.contains("memory") == on
        })
        .await;
    }

    /// What the broker found wrong with what it was told. Nothing of ours is ever to be.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = match self {
            Self::Node(broker) => broker.node().log(),
            Self::Cluster(members) => members.log(),
        };
        let wrong = ["precondition_failed", "frame_error", "unexpected_frame", "syntax_error", "command_invalid"];
        log.lines().filter(|line| wrong.iter().any(|wrong| line.contains(wrong))).map(str::to_owned).collect()
    }
}
