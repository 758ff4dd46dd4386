//! Who is back after a fault, and after how long.

use std::time::{Duration, Instant};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};

use super::{events::PROBE, process::Process, run::Run};

/// The handlers of a sink with the events that they take; the queue is `sink.{handler}`.
pub(super) const HANDLERS: [(&str, &str); 3] = [("take", "order"), ("ship", "shipment"), ("remind", "reminder")];
/// How long anybody may take to be back before the run says that they are gone.
const GONE: Duration = Duration::from_secs(60);
/// How often probes are sent while somebody is missing.
const PROBES: Duration = Duration::from_millis(50);
/// How often a source is asked to show itself.
const ASK: Duration = Duration::from_secs(1);
/// How long the broker may take for a probe.
const ANSWER: Duration = Duration::from_secs(2);

/// Who was back after how long.
#[derive(Clone, Debug, Default)]
pub(super) struct Back {
    /// The last consumer: all of them take events from each of their queues again.
    pub(super) consumers: Duration,
    /// The last producer: all of them are told of confirms again.
    pub(super) producers: Duration,
    /// Those who are not back.
    pub(super) missing: Vec<String>,
}

/// Publishes probes: events that nobody has to handle, into one queue each.
#[derive(Debug)]
pub(super) struct Prober {
    url: String,
    channel: Option<(Connection, Channel)>,
    /// The number of the last probe.
    last: u64,
}

impl Prober {
    pub(super) fn new(url: String) -> Self {
        Self { url, channel: None, last: 0 }
    }

    /// Sends one, if the broker lets us.
    async fn probe(&mut self, handler: &str, event: &str) {
        self.last += 1;
        let body = serde_json::json!({ "eventType": event, "data": { "subject": format!("{PROBE}{}", self.last) } });
        let (queue, body) = (format!("sink.{handler}"), body.to_string());
        let sent = tokio::time::timeout(ANSWER, self.send(&queue, body.as_bytes())).await;
        // Of a channel that refuses, too: see what a publisher does with one.
        if !sent.is_ok_and(|sent| sent.is_ok_and(|stored| stored)) {
            self.channel = None;
        }
    }

    /// Sends it; true if it is stored.
    async fn send(&mut self, queue: &str, body: &[u8]) -> lapin::Result<bool> {
        let channel = match &self.channel {
            Some((_, channel)) => channel,
            None => {
                let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
                let channel = connection.create_channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                &self.channel.insert((connection, channel)).1
            }
        };
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let options = BasicPublishOptions::default();
        let confirm = channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await?;
        Ok(matches!(confirm, Confirmation::Ack(None)))
    }
}

impl Run<'_> {
    /// Waits until everybody is back: each consumer has taken a probe from each of its queues that was sent after this
    /// moment, and each producer was told that something is confirmed that it published after it.
    pub(super) async fn back(&mut self, since: Instant) -> Back {
        let first = self.prober.last + 1;
        let (sinks, sources): (Vec<_>, Vec<_>) =
            (self.sinks.iter().map(Process::who).collect(), self.sources.iter().map(Process::who).collect());
        let mut back = Back::default();
        let mut asked: Option<Instant> = None;
        loop {
            let (mut deaf, mut mute) = (Vec::new(), Vec::new());
            self.journal.with(|said| {
                for handler in HANDLERS {
                    for who in &sinks {
                        let newest = said.probes.get(&(who.clone(), handler.0.to_owned()));
                        if newest.is_none_or(|newest| *newest < first) {
                            deaf.push((who.clone(), handler));
                        }
                    }
                }
                mute.extend(
                    sources.iter().filter(|who| said.confirmed.get(*who).is_none_or(|at| *at < since)).cloned(),
                );
            });
            let now = since.elapsed();
            if !deaf.is_empty() {
                back.consumers = now;
            }
            if !mute.is_empty() {
                back.producers = now;
            }
            if deaf.is_empty() && mute.is_empty() {
                return back;
            }
            if now > GONE {
                back.missing =
                    deaf.iter().map(|(who, (handler, _))| format!("{who} takes nothing from sink.{handler}")).collect();
                back.missing.extend(mute.iter().map(|who| format!("{who} gets no confirms")));
                return back;
            }
            // Only when somebody listens: what nobody is bound for would be lost.
            if deaf.is_empty() && asked.is_none_or(|asked| asked.elapsed() > ASK) {
                self.traffic.pause(false);
                self.traffic.ask();
                asked = Some(Instant::now());
            }
            for (handler, event) in HANDLERS {
                if deaf.iter().any(|(_, (missing, _))| *missing == handler) {
                    self.prober.probe(handler, event).await;
                }
            }
            tokio::time::sleep(PROBES).await;
        }
    }
}
