//! How faults are brought about, and ended.

use std::time::Instant;

use super::{
    back::HANDLERS,
    plan::{Fault, Kind},
    process::Process,
    run::{Run, SOURCES},
};
use crate::{Proxy, eventually};

/// The levels of the delay ladder that the sinks need.
const LEVELS: [&str; 2] = ["rabbitry.v1.delay.00", "rabbitry.v1.delay.01"];
/// How many events a source publishes to a queue that was just deleted.
const TO_NOBODY: u64 = 5;

impl Run<'_> {
    /// Begins a fault.
    pub(super) async fn begin(&mut self, fault: &Fault) {
        if self.site.begin(fault, self.declared).await {
            return;
        }
        match fault.kind {
            Kind::KillConsumer => victim(&mut self.sinks, fault).kill().await,
            Kind::KillConsumers => {
                for sink in &mut self.sinks {
                    sink.kill().await;
                }
            }
            Kind::KillProducer => victim(&mut self.sources, fault).kill().await,
            Kind::EndConsumer => self.end_well(fault).await,
            Kind::FreezeConsumer => victim(&mut self.sinks, fault).freeze().await,
            Kind::FreezeProducer => victim(&mut self.sources, fault).freeze().await,
            Kind::Cut => self.befallen(fault).for_each(Proxy::cut),
            Kind::Lose => self.befallen(fault).for_each(Proxy::lose),
            Kind::Stall => self.befallen(fault).for_each(|proxy| proxy.stall(fault.way)),
            Kind::DeleteWorkQueue | Kind::DeleteLevel | Kind::DeleteDeadLetters => self.delete(fault).await,
            other => unreachable!("the broker brings about: {other}"),
        }
    }

    /// Ends it: from now on everybody has what it takes to be back.
    pub(super) async fn end(&mut self, fault: &Fault) {
        self.site.end(fault.kind).await;
        match fault.kind {
            Kind::KillConsumer | Kind::EndConsumer => victim(&mut self.sinks, fault).restart(),
            Kind::KillConsumers => self.sinks.iter_mut().for_each(Process::restart),
            Kind::KillProducer => {
                victim(&mut self.sources, fault).restart();
                let source = fault.victim % SOURCES;
                self.traffic.connect(source, self.sources[source].orders());
            }
            Kind::FreezeConsumer => victim(&mut self.sinks, fault).thaw().await,
            Kind::FreezeProducer => victim(&mut self.sources, fault).thaw().await,
            Kind::Cut | Kind::Lose | Kind::Stall => self.befallen(fault).for_each(Proxy::heal),
            _ => {}
        }
    }

    /// The network of one process, or of all.
    fn befallen(&self, fault: &Fault) -> impl Iterator<Item = &Proxy> {
        let one = fault.victim % (self.proxies.len() + 1);
        let all = one == self.proxies.len();
        self.proxies.iter().enumerate().filter(move |(number, _)| all || *number == one).flat_map(|(_, own)| own)
    }

    /// A consumer that is told to end while all is well gives back nothing and says so by its status.
    async fn end_well(&mut self, fault: &Fault) {
        let sink = victim(&mut self.sinks, fault);
        let who = sink.who();
        let status = sink.end().await;
        if !status.is_some_and(|status| status.success()) {
            let how = status.map_or("did not end".to_owned(), |status| format!("ended with {status}"));
            self.report.wrong(format!("{who} was told to end and {how}"));
        }
    }

    /// Deletes a queue when it is empty: what is in it would be lost by the operator's will.
    async fn delete(&mut self, fault: &Fault) {
        self.traffic.pause(true);
        self.settle().await;
        let (handler, _) = HANDLERS[fault.victim % HANDLERS.len()];
        let queue = match fault.kind {
            Kind::DeleteWorkQueue => format!("sink.{handler}"),
            Kind::DeleteDeadLetters => format!("sink.{handler}.dead"),
            _ => LEVELS[fault.victim % LEVELS.len()].to_owned(),
        };
        let client = self.site.broker().client().await;
        client.delete_queue(&queue).await;
        if queue == "sink.take" {
            // It publishes with `Unrouted::Fail`: what nobody is bound for is refused, and nothing else.
            self.sources[1].publish(TO_NOBODY);
        }
        if fault.kind != Kind::DeleteWorkQueue {
            // Nobody consumes it, so nobody is told. It is declared again with the next connection.
            self.site.broker().close_connections().await;
        }
        client.close().await;
        eventually(format!("{queue} is declared again"), || async {
            // Each time another one: a no may cost lapin its connection.
            let client = self.site.broker().client().await;
            let count = client.count(&queue).await;
            client.close().await;
            count.is_some()
        })
        .await;
        self.declared = Instant::now();
    }
}

fn victim<'a>(processes: &'a mut [Process], fault: &Fault) -> &'a mut Process {
    let count = processes.len();
    &mut processes[fault.victim % count]
}
