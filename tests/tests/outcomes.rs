//! Every outcome of a handler under every policy: how often it runs, when, and where its event ends.

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use rabbitry::{
    AnyEvent, DecodeError, HandlerError, Metadata, RetryPolicy, Service, Subscription, Undecodable, event,
    handler::{Argument, MissingResource, Received, Resources},
    prelude::*,
    testing::{self, Test},
};
use rabbitry_tests::{Books, LATE, Record, Stranger, id, integer, on_both, stop, text, unit};
use serde_json::json;

#[event("order")]
struct Order {
    order_id: i64,
}

#[derive(Debug, thiserror::Error)]
#[error("sold out: {is_final}")]
struct SoldOut {
    is_final: bool,
}

/// A retry policy, and after how many units each of its runs follows the one before.
struct Policy {
    name: &'static str,
    policy: RetryPolicy,
    gaps: &'static [u32],
}

fn policies(unit: Duration) -> Vec<Policy> {
    let policy = |attempts, immediate, first| {
        let policy = RetryPolicy::default().attempts(attempts).immediate(immediate);
        policy.first(unit * first).factor(2.0).max(unit * 9).jitter(0.0)
    };
    vec![
        Policy { name: "once", policy: policy(1, 0, 1), gaps: &[] },
        // All that may run at once does, and no more.
        Policy { name: "once-eager", policy: policy(1, 5, 1), gaps: &[] },
        Policy { name: "at-once", policy: policy(3, 2, 1), gaps: &[0, 0] },
        Policy { name: "later", policy: policy(3, 0, 1), gaps: &[1, 2] },
        Policy { name: "both", policy: policy(4, 1, 2), gaps: &[0, 2, 4] },
    ]
}

/// What a handler does, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Nothing,
    Fails,
    FailsOnce,
    Rejects,
    /// After this.
    RetriesAfter(Duration),
    FailsFor {
        good: bool,
    },
    Panics,
    PanicsBeforeItsFuture,
    Hangs,
    CannotRead(Undecodable),
}

impl Does {
    fn all(unit: Duration) -> [(&'static str, Self); 12] {
        [
            ("ok", Self::Nothing),
            ("error", Self::Fails),
            ("error-once", Self::FailsOnce),
            ("reject", Self::Rejects),
            ("retry-after", Self::RetriesAfter(unit)),
            ("reject-if", Self::FailsFor { good: true }),
            ("reject-if-not", Self::FailsFor { good: false }),
            ("panic", Self::Panics),
            ("early-panic", Self::PanicsBeforeItsFuture),
            ("timeout", Self::Hangs),
            ("undecodable", Self::CannotRead(Undecodable::DeadLetter)),
            ("undecodable-retry", Self::CannotRead(Undecodable::Retry)),
        ]
    }

    /// The gaps between its runs, and the reason with which it ends in the dead letters.
    fn promises(self, policy: &Policy, unit: Duration) -> (Vec<Duration>, Option<&'static str>) {
        let by_policy: Vec<Duration> = policy.gaps.iter().map(|gap| unit * *gap).collect();
        match self {
            Self::Nothing => (vec![], None),
            Self::FailsOnce if by_policy.is_empty() => (vec![], Some("error")),
            Self::FailsOnce => (by_policy[..1].to_vec(), None),
            Self::Fails | Self::FailsFor { good: false } => (by_policy, Some("error")),
            Self::Rejects | Self::FailsFor { good: true } => (vec![], Some("rejected")),
            Self::RetriesAfter(delay) => (vec![delay; by_policy.len()], Some("error")),
            Self::Panics | Self::PanicsBeforeItsFuture => (by_policy, Some("panic")),
            Self::Hangs => (by_policy, Some("timeout")),
            Self::CannotRead(Undecodable::Retry) => (by_policy, Some("undecodable")),
            Self::CannotRead(_) => (vec![], Some("undecodable")),
        }
    }

    fn subscription(self, name: &str, policy: RetryPolicy, runs: Record<()>) -> Subscription {
        let options = Subscription::to("order").name(name).retry(policy).reject_if(|error: &SoldOut| error.is_final);
        if let Self::CannotRead(undecodable) = self {
            return options.undecodable(undecodable).handler(|_: Arrival, order: Order| {
                let _ = order.order_id;
                async {}
            });
        }
        options.timeout(Duration::from_millis(300)).handler(move |_: AnyEvent| {
            runs.add(());
            assert!(self != Self::PanicsBeforeItsFuture, "before it began");
            let first = runs.len() == 1;
            async move { self.run(first).await }
        })
    }

    async fn run(self, first: bool) -> Result<(), HandlerError> {
        match self {
            Self::Fails => Err("no stock")?,
            Self::FailsOnce if first => Err("no stock yet")?,
            Self::Rejects => Err("never").or_reject()?,
            Self::RetriesAfter(delay) => Err("not yet").or_retry_after(delay)?,
            Self::FailsFor { good } => Err(SoldOut { is_final: good })?,
            Self::Panics => panic!("while it ran"),
            Self::Hangs => std::future::pending().await,
            _ => {}
        }
        Ok(())
    }
}

/// Notes when an event comes, before anything of it is read as the handler's event. The handler is told by its policy: by
/// how many runs there are, and whether the queue retries, which the test cannot know here, so all are noted together.
struct Arrival;

impl Argument for Arrival {
    type Source = Record<(u32, u32)>;

    fn source(resources: &Resources) -> Result<Self::Source, MissingResource> {
        resources.get()
    }

    fn extract(arrivals: &Self::Source, received: &Received<'_>) -> Result<Self, DecodeError> {
        arrivals.add((received.attempt().number, received.attempt().of));
        Ok(Self)
    }
}

struct Case {
    name: String,
    does: Does,
    gaps: Vec<Duration>,
    dead: Option<&'static str>,
    runs: Record<()>,
    policy: RetryPolicy,
}

impl Case {
    /// Waits for its end and judges it.
    async fn judge(&self, test: &Test, client: &Stranger, published: SystemTime) {
        let Self { name, gaps, .. } = self;
        let promised: Duration = gaps.iter().sum();
        if let Some(reason) = self.dead {
            let dead = client.receive(&format!("table.{name}.dead"), 1).await;
            let took = test.now().duration_since(published).unwrap();
            let dead = &dead[0].message;
            assert_eq!(text(dead, "rabbitry-reason"), reason, "{name}");
            assert_eq!(integer(dead, "rabbitry-attempt"), i64::try_from(gaps.len() + 1).ok(), "{name}");
            assert_eq!(id(dead), "order-1", "{name}");
            assert!(took >= promised && took < promised + LATE, "{name}: dead after {took:?}, not {promised:?}");
        }
        if !matches!(self.does, Does::CannotRead(_)) {
            self.runs.wait_for(gaps.len() + 1).await;
        }
    }

    /// Judges its runs, when there will be no more.
    fn judge_runs(&self, test: &Test) {
        let Self { name, gaps, .. } = self;
        let handled = test.handled(&format!("table.{name}"));
        // What cannot be read is a failed run, too, and yet its handler is not called.
        assert_eq!(handled.times(), gaps.len() + 1, "{name}");
        let called = if matches!(self.does, Does::CannotRead(_)) { 0 } else { gaps.len() + 1 };
        assert_eq!(self.runs.len(), called, "{name}");
        for (waited, gap) in handled.gaps().into_iter().zip(gaps) {
            assert!(waited >= *gap && waited < *gap + LATE, "{name}: ran again after {waited:?}, not {gap:?}");
        }
    }
}

fn cases(unit: Duration) -> Vec<Case> {
    let mut cases = Vec::new();
    for policy in policies(unit) {
        for (outcome, does) in Does::all(unit) {
            let (gaps, dead) = does.promises(&policy, unit);
            let name = format!("{outcome}.{}", policy.name);
            cases.push(Case { name, does, gaps, dead, runs: Record::default(), policy: policy.policy });
        }
    }
    cases
}

on_both! {
async fn every_outcome_under_every_policy(place: Place) {
    let cases = cases(unit(&place));
    let arrivals = Record::<(u32, u32)>::default();
    let mut service = Service::new("table").state(arrivals.clone());
    for case in &cases {
        service = service.subscription(case.does.subscription(&case.name, case.policy, case.runs.clone()));
    }
    let mut test = testing::start_on(place, service).await;
    let client = Stranger::on(&test.broker()).await;
    let published = test.now();
    // One publish for all: as an order it cannot be read, as any event it can.
    client.publish_bare("events", "order", "order-1", &json!({ "order_id": "a word" })).await;
    test.until(join_all(cases.iter().map(|case| case.judge(&test, &client, published)))).await;
    test.settled().await;
    // Whoever goes to the dead letters at once is read once, the others as often as their policies say: 1, 1, 3, 3, 4.
    let mut arrived = arrivals.all();
    arrived.sort_unstable();
    let once = [(1, 1), (1, 1), (1, 1), (1, 1), (1, 3), (1, 3), (1, 3), (1, 3), (1, 4), (1, 4)];
    let again = [(2, 3), (2, 3), (2, 4), (3, 3), (3, 3), (3, 4), (4, 4)];
    assert_eq!(arrived, [&once[..], &again[..]].concat());
    stop(test.take(0)).await;
    // None ran once more meanwhile.
    for case in &cases {
        case.judge_runs(&test);
    }
    // The dead letters are taken, and the rest is acknowledged.
    Books::settled_in(&test, 0).await.balance(cases.len(), cases.len());
    test.shutdown().await;
}

/// A handler that is cancelled at its time drops what it holds, and the next event does not wait for it.
async fn a_handler_that_hangs_holds_up_its_time_and_no_more(place: Place) {
    struct Held(Record<&'static str>);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.add("dropped");
        }
    }

    let seen = Record::default();
    let record = seen.clone();
    let subscription =
        Subscription::to("order").retry(RetryPolicy::default().attempts(1)).concurrency(1).timeout("200ms").handler(
            move |_: AnyEvent, metadata: Metadata| {
                let held = Held(record.clone());
                async move {
                    if metadata.id() == Some("hangs") {
                        std::future::pending::<()>().await;
                    }
                    held.0.add("handled");
                }
            },
        );
    let mut test = testing::start_on(place, Service::new("slow").subscription(subscription)).await;
    let client = Stranger::on(&test.broker()).await;
    client.publish_bare("events", "order", "hangs", &json!(1)).await;
    client.publish_bare("events", "order", "good", &json!(2)).await;
    assert_eq!(seen.wait_for(3).await, ["dropped", "handled", "dropped"]);
    let dead = client.receive("slow.order.dead", 1).await;
    assert_eq!(text(&dead[0].message, "rabbitry-reason"), "timeout");
    assert_eq!(text(&dead[0].message, "rabbitry-error"), "the handler did not end within 200ms");
    stop(test.take(0)).await;
    assert_eq!(seen.len(), 3);
    Books::settled_in(&test, 0).await.balance(2, 2);
    test.shutdown().await;
}
}
