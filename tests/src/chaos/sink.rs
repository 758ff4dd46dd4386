//! A consumer: three handlers, whose effects are lines.

use std::{panic, time::Duration};

use rabbitry::{
    Attempt, HandlerError, Metadata, Publisher, Service, State,
    observe::{Run, RunEnd},
    subscribe, subscriptions,
};

use super::{
    events::{Order, PROBE, Reminder, Shipment},
    fate::{self, Course, Fate},
    line::Line,
    role::{Failure, SEED, input, serve, variable},
};

/// What a run panics with that is meant to.
const MEANT: &str = "meant to panic";

#[derive(Clone, Copy)]
struct Seed(u64);

#[subscribe("order", retry(attempts = 4, first = "1s", factor = 2), concurrency = 32, timeout = "3s")]
async fn take(
    order: Order,
    metadata: Metadata,
    attempt: Attempt,
    State(seed): State<Seed>,
) -> Result<Vec<Shipment>, HandlerError> {
    let Some(work) = begin("take", &order.subject, &metadata, attempt, seed).await? else { return Ok(Vec::new()) };
    Ok(work.end().into_iter().map(|subject| Shipment { subject }).collect())
}

#[subscribe("shipment", retry(attempts = 4, first = "1s", factor = 2), concurrency = 32, timeout = "3s")]
async fn ship(
    shipment: Shipment,
    metadata: Metadata,
    attempt: Attempt,
    reminders: Publisher<Reminder>,
    State(seed): State<Seed>,
) -> Result<(), HandlerError> {
    let Some(work) = begin("ship", &shipment.subject, &metadata, attempt, seed).await? else { return Ok(()) };
    for subject in work.says() {
        let id = fate::id(subject);
        reminders.event(Reminder { subject: subject.clone() }).id(id).after("1s").publish().await?;
    }
    work.end();
    Ok(())
}

#[subscribe("reminder", retry(attempts = 4, first = "1s", factor = 2), concurrency = 32, timeout = "3s")]
async fn remind(
    reminder: Reminder,
    metadata: Metadata,
    attempt: Attempt,
    State(seed): State<Seed>,
) -> Result<(), HandlerError> {
    if let Some(work) = begin("remind", &reminder.subject, &metadata, attempt, seed).await? {
        work.end();
    }
    Ok(())
}

/// A run that will end well.
struct Work {
    subject: String,
    id: String,
    fate: Fate,
}

/// Begins a run, and lets it fail if it is to; a probe is none.
async fn begin(
    handler: &str,
    subject: &str,
    metadata: &Metadata,
    attempt: Attempt,
    Seed(seed): Seed,
) -> Result<Option<Work>, HandlerError> {
    if let Some(number) = subject.strip_prefix(PROBE) {
        Line::Probe { handler: handler.to_owned(), number: number.parse()? }.say();
        return Ok(None);
    }
    let (subject, id) = (subject.to_owned(), metadata.id().unwrap_or_default().to_owned());
    Line::Begun { subject: subject.clone(), id: id.clone(), attempt: attempt.number }.say();
    let fate = Fate::of(seed, &subject);
    tokio::time::sleep(fate.takes).await;
    match fate.course {
        Course::Fails(runs, how) if attempt.number <= runs => fail(how).await?,
        Course::Never(how) => fail(how).await?,
        Course::Rejected => return Err(HandlerError::reject("meant to be rejected")),
        Course::Well | Course::Fails(..) => {}
    }
    Ok(Some(Work { subject, id, fate }))
}

async fn fail(how: fate::Failure) -> Result<(), HandlerError> {
    match how {
        fate::Failure::Error => Err("meant to fail".into()),
        fate::Failure::Panic => panic::panic_any(MEANT),
        fate::Failure::Later => Err(HandlerError::retry_after("meant to come later", Duration::from_secs(2))),
        fate::Failure::Timeout => std::future::pending().await,
    }
}

impl Work {
    /// The subjects of what is to be said.
    fn says(&self) -> &[String] {
        &self.fate.says
    }

    /// Has its effect: a line that stays, whatever happens to the process from here on.
    fn end(self) -> Vec<String> {
        Line::Effect { subject: self.subject, id: self.id }.say();
        self.fate.says
    }
}

/// Says what the service tells of its runs.
fn tell(run: &Run<'_>) {
    let Some(subject) = run.key.filter(|subject| !subject.starts_with(PROBE)) else { return };
    let subject = subject.to_owned();
    let line = match run.end {
        RunEnd::Failed { .. } => Line::Failed { subject, attempt: run.attempt, why: run.end.to_string() },
        _ => Line::Done { subject },
    };
    line.say();
}

/// Runs until a signal.
pub(crate) async fn run() -> Result<(), Failure> {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref() != Some(&MEANT) {
            usual(panic);
        }
    }));
    let service = Service::new("sink")
        .state(Seed(variable(SEED)?))
        .subscriptions(subscriptions![take, ship, remind])
        .observer(tell);
    serve(service, async |running| {
        running.stop_on_signals()?;
        Line::Ready.say();
        let mut input = input();
        tokio::select! {
            () = running.stopping() => Ok(()),
            // The runner is gone.
            _ = input.recv() => std::process::exit(3),
        }
    })
    .await
}
