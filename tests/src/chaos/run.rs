//! A run: the processes, what is between them and the broker, and one round after the other.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Options, Site,
    back::{Back, Prober},
    journal::Journal,
    plan::{Round, plan},
    process::{Process, Program},
    report::Report,
    traffic::Traffic,
};
use crate::Proxy;

/// How many processes publish, and how many consume.
pub(super) const SOURCES: usize = 2;
pub(super) const SINKS: usize = 3;
/// How often both sides of a connection prove that they live, in seconds.
pub(super) const HEARTBEAT: u32 = 2;
/// How long the moment of a fault may take to come: the events that it waits for may be held up.
const MOMENT: Duration = Duration::from_secs(10);

/// All that a run consists of.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) site: &'a Site,
    pub(super) options: Options,
    pub(super) journal: Arc<Journal>,
    pub(super) sources: Vec<Process>,
    pub(super) sinks: Vec<Process>,
    /// For each process one to each of the broker's nodes: the sources' first.
    pub(super) proxies: Vec<Vec<Proxy>>,
    pub(super) traffic: Traffic,
    pub(super) prober: Prober,
    /// When something was last declared that was not there.
    pub(super) declared: Instant,
    /// What is known to be lost: nobody waits for it any more.
    pub(super) given_up: BTreeSet<String>,
    pub(super) report: Report,
}

impl<'a> Run<'a> {
    /// Starts the processes; the first thing that goes wrong ends the run.
    pub(super) async fn start(site: &'a Site, program: Program, options: &Options, report: Report) -> Self {
        let journal = Journal::new(program.seed);
        let urls = site.urls();
        let mut proxies = Vec::new();
        let mut process = async |role, number| {
            let own = futures_util::future::join_all(urls.iter().map(|url| Proxy::to_url(url))).await;
            let url = format!("{}?heartbeat={HEARTBEAT}", Proxy::url_by(&own, &urls[0]));
            proxies.push(own);
            Process::start(&program, role, number, url, &journal)
        };
        let (mut sources, mut sinks) = (Vec::new(), Vec::new());
        for number in 1..=SOURCES {
            sources.push(process("source", number).await);
        }
        for number in 1..=SINKS {
            sinks.push(process("sink", number).await);
        }
        let traffic = Traffic::new(SOURCES);
        for (number, source) in sources.iter().enumerate() {
            traffic.connect(number, source.orders());
        }
        for process in sources.iter().chain(&sinks) {
            assert!(
                process.is_ready().await,
                "{} is not ready; see its log in {}",
                process.who(),
                program.logs.display()
            );
        }
        let prober = Prober::new(urls.first().cloned().unwrap_or_default());
        let (options, declared, given_up) = (options.clone(), Instant::now(), BTreeSet::new());
        Self { site, options, journal, sources, sinks, proxies, traffic, prober, declared, given_up, report }
    }

    /// All rounds, and the end.
    pub(super) async fn run(mut self) -> Report {
        let rounds = plan(self.report.seed, self.options.faults, self.site.kinds());
        let quota = self.options.events / rounds.len().max(1);
        for round in &rounds {
            self.round(round, quota).await;
        }
        self.finish().await
    }

    async fn round(&mut self, round: &Round, quota: usize) {
        let published = self.journal.with(|said| said.published);
        self.traffic.add(quota);
        let wanted = published + (quota as f64 * round.at) as usize;
        self.journal.until(MOMENT, |said| (said.published >= wanted).then_some(())).await;
        if round.rush {
            self.traffic.rush();
        }
        let at = self.journal.now();
        self.begin(&round.fault).await;
        let until = Instant::now() + round.fault.lasts;
        if !round.meanwhile.is_empty() {
            // In the midst of it.
            tokio::time::sleep(round.fault.lasts / 2).await;
        }
        for fault in &round.meanwhile {
            self.begin(fault).await;
            tokio::time::sleep(fault.lasts).await;
            self.end(fault).await;
        }
        tokio::time::sleep_until(until.into()).await;
        self.end(&round.fault).await;
        let since = Instant::now();
        let back = self.back(since).await;
        self.told(round, at, back);
        self.traffic.rush();
        for process in self.sinks.iter_mut().chain(&mut self.sources) {
            process.revive();
        }
        for (number, source) in self.sources.iter().enumerate() {
            self.traffic.connect(number, source.orders());
        }
    }

    /// Notes a round and says how it was.
    fn told(&mut self, round: &Round, at: Duration, back: Back) {
        let published = self.journal.with(|said| said.published);
        self.report.round(round, at, published, back);
    }
}
