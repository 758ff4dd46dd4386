//! What a process of the suite is, and what it is told by its environment.

use std::{io, process::ExitCode};

use rabbitry::{Service, ShutdownError};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use super::{sink, source};

/// The variable that makes a process one of ours: `source` or `sink`.
pub(crate) const ROLE: &str = "CHAOS_ROLE";
/// The seed of the run.
pub(crate) const SEED: &str = "CHAOS_SEED";
/// Which of the sources it is, and for the how manieth time: `1.3`.
pub(crate) const NUMBER: &str = "CHAOS_NUMBER";

/// What went wrong in a process.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a process of the suite if the environment says that this is one.
#[must_use]
pub fn role() -> Option<ExitCode> {
    let role = std::env::var(ROLE).ok()?;
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,lapin=off,rabbitry::consumer::tell=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(io::stderr).init();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let ended = match role.as_str() {
        "source" => runtime.block_on(source::run()),
        "sink" => runtime.block_on(sink::run()),
        other => Err(format!("{ROLE}={other} is neither source nor sink").into()),
    };
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{role}: {failure}");
            // What was cut off or unconfirmed at the end is no failure of the process itself.
            ExitCode::from(if failure.is::<ShutdownError>() { 2 } else { 1 })
        }
    })
}

/// The lines of the standard input, until it ends with the runner at the latest.
pub(crate) fn input() -> mpsc::UnboundedReceiver<String> {
    let (line, lines) = mpsc::unbounded_channel();
    // A thread of its own: it waits for ever and holds up no end.
    std::thread::spawn(move || io::stdin().lines().map_while(Result::ok).try_for_each(|text| line.send(text).ok()));
    lines
}

/// A number from the environment.
pub(crate) fn variable<T: std::str::FromStr>(name: &str) -> Result<T, Failure> {
    let text = std::env::var(name).map_err(|_| format!("{name} is not set"))?;
    text.parse().map_err(|_| format!("{name}={text} is none").into())
}

/// Starts a service and shuts it down, and does something between.
pub(crate) async fn serve<T>(
    service: Service,
    between: impl AsyncFnOnce(&rabbitry::Running) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let running = service.start().await?;
    let done = between(&running).await?;
    running.shutdown().await?;
    Ok(done)
}
