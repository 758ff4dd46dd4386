//! Waiting until nothing moves any more, reading what stays, and the end.

use std::time::{Duration, Instant};

use super::{back::HANDLERS, ledger::Letter, report::Report, run::Run};
use crate::{Books, Client, Raw};

/// How often is looked whether all is settled.
const LOOK: Duration = Duration::from_millis(250);
/// How long nothing may be said before what is missing is given up: longer than any retry and any timeout of ours.
const SILENCE: Duration = Duration::from_secs(35);
/// Where everything ends that can't be delivered.
const UNDELIVERABLE: &str = "rabbitry.v1.undeliverable";

impl Run<'_> {
    /// Waits until every publisher has its answer, every event is somewhere, and no work queue holds any. What is
    /// missing for so long that nothing can bring it any more is given up.
    pub(super) async fn settle(&mut self) {
        let (mut lines, mut since) = (self.journal.lines(), Instant::now());
        loop {
            let (answered, missing) = self.journal.with(|said| {
                let missing = said.ledger.missing().into_keys();
                (said.all_answered(), missing.collect::<Vec<_>>())
            });
            let known = missing.iter().all(|subject| self.given_up.contains(subject));
            let settled = answered && (known || self.all_found(&missing).await);
            if settled && Books::read(self.site.broker()).await.waiting == 0 {
                return;
            }
            if self.journal.lines() != lines {
                (lines, since) = (self.journal.lines(), Instant::now());
            } else if since.elapsed() > SILENCE {
                self.given_up.extend(missing);
                if !answered {
                    self.report.wrong("a publisher was never answered".to_owned());
                }
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether what is missing is among the dead letters.
    async fn all_found(&mut self, missing: &[String]) -> bool {
        // Most of what is missing moves; the last few may have come to rest.
        if missing.len() > 2000 {
            return false;
        }
        self.read_what_stays().await;
        self.journal.with(|said| said.ledger.missing().into_keys().all(|subject| self.given_up.contains(&subject)))
    }

    /// Takes the dead letters and the undeliverable messages out of their queues and into the ledger.
    async fn read_what_stays(&mut self) {
        let client = self.site.broker().client().await;
        for (handler, _) in HANDLERS {
            for letter in letters(&client, &format!("sink.{handler}.dead")).await {
                self.journal.with(|said| said.ledger.found_dead(self.journal.now(), &letter));
            }
        }
        for letter in letters(&client, UNDELIVERABLE).await {
            self.journal.with(|said| said.ledger.found_undeliverable(self.journal.now(), &letter));
        }
        client.close().await;
    }

    /// The rest of the events, the end of all processes, and the verdict.
    pub(super) async fn finish(mut self) -> Report {
        self.publish_the_rest().await;
        self.traffic.disconnect();
        for source in &mut self.sources {
            let who = source.who();
            let status = source.finish().await;
            if !status.is_some_and(|status| status.success()) {
                self.report.wrong(format!("{who} did not end well: {status:?}"));
            }
        }
        self.settle().await;
        for sink in &mut self.sinks {
            let who = sink.who();
            let status = sink.end().await;
            if !status.is_some_and(|status| status.success()) {
                self.report.wrong(format!("{who} did not end well: {status:?}"));
            }
        }
        self.read_what_stays().await;
        let left = Books::read(self.site.broker()).await;
        if left != Books::default() {
            self.report.wrong(format!("the queues are not empty in the end: {left:?}"));
        }
        for complaint in self.site.complaints() {
            self.report.wrong(format!("the broker complains: {complaint}"));
        }
        for process in self.sources.iter_mut().chain(&mut self.sinks) {
            self.report.wrongs.append(&mut process.surprises);
        }
        self.journal.with(|said| {
            self.report.wrongs.append(&mut said.strange);
            self.report.judge(&said.ledger, self.journal.now());
        });
        self.report
    }

    /// What a killed source did not come to, others publish.
    async fn publish_the_rest(&mut self) {
        self.traffic.pause(false);
        let events = self.options.events;
        let mut published = self.journal.with(|said| said.published);
        while published < events {
            let rest = events - published;
            for (number, source) in self.sources.iter().enumerate() {
                source.publish((rest / self.sources.len() + usize::from(number < rest % self.sources.len())) as u64);
            }
            let wait = self.journal.until(SILENCE, |said| (said.published >= published + rest).then_some(())).await;
            published = self.journal.with(|said| said.published);
            if wait.is_none() {
                self.report.wrong(format!("the sources published {published} of {events} events and no more"));
                return;
            }
        }
    }
}

/// All messages of a queue, taken out.
async fn letters(client: &Client, queue: &str) -> Vec<Letter> {
    let mut letters = Vec::new();
    while let Some(count @ 1..) = client.count(queue).await {
        let taken = client.receive(queue, count as usize).await;
        letters.extend(taken.iter().map(|raw| letter(queue, raw)));
    }
    letters
}

fn letter(queue: &str, raw: &Raw) -> Letter {
    let body = raw.json();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let subject = text(&body["data"]["subject"]).or_else(|| text(&body["subject"]));
    let subject = subject.unwrap_or_else(|| format!("(unreadable: {})", String::from_utf8_lossy(&raw.body)));
    let ids = [Some(raw.id()), text(&body["metadata"]["id"])].into_iter().flatten().collect();
    Letter { subject, queue: queue.to_owned(), ids, reason: raw.text("rabbitry-reason") }
}
