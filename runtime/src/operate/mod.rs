#![doc = include_str!("../docs/operate.md")]

mod arguments;
mod console;
mod declare;
mod diff;
mod migrate;
mod migration;
mod prune;

use std::{error::Error, process::ExitCode};

pub use migration::{Found, MigrateError, Migrated, Migration, Step};

use crate::{Service, service::Site};
use arguments::{Asked, Command, TopologyArguments, TopologyCommand};
use console::Console;

/// Why a command could not do what it was asked for.
type Failure = Box<dyn Error + Send + Sync>;

/// What a run that failed ends with, and [`diff`](self) that found differences.
const FAILED: u8 = 1;
const DIFFERENT: u8 = 1;
/// What a command ends with that could not be done.
const COULD_NOT: u8 = 2;

impl Service {
    /// Does what the command line of this process asks for: to run the service, or to look after what it needs on the broker.
    /// See [`operate`](crate::operate) for the commands. What it gives is for `main` to end with.
    ///
    /// ```no_run
    /// use rabbitry::{AnyEvent, Service};
    ///
    /// #[tokio::main]
    /// async fn main() -> std::process::ExitCode {
    ///     Service::new("audit")
    ///         .subscribe("order.*", |event: AnyEvent| async move { println!("{}", event.name()) })
    ///         .command_line()
    ///         .await
    /// }
    /// ```
    pub async fn command_line(self) -> ExitCode {
        self.command_line_with(Self::run).await
    }

    /// The same for a program that runs more than the service, an HTTP server for example: where the service is to run, it is
    /// given to `run`. All else needs neither its state nor what stands beside it, so begin those there.
    ///
    /// ```no_run
    /// use rabbitry::{AnyEvent, Service};
    ///
    /// async fn serve(service: Service) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///     let running = service.state("what handlers want".to_owned()).start().await?;
    ///     running.stop_on_signals()?;
    ///     // Serve HTTP until `running.stopping()`.
    ///     running.stopping().await;
    ///     Ok(running.shutdown().await?)
    /// }
    ///
    /// #[tokio::main]
    /// async fn main() -> std::process::ExitCode {
    ///     Service::new("audit").publishes::<AnyEvent>().command_line_with(serve).await
    /// }
    /// ```
    pub async fn command_line_with<R, E>(self, run: impl FnOnce(Self) -> R) -> ExitCode
    where
        R: Future<Output = Result<(), E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let asked = match Asked::read(std::env::args_os(), &self.name) {
            Ok(asked) => asked,
            Err(code) => return code,
        };
        match asked.command {
            None | Some(Command::Run) => match run(self).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&*error.into(), FAILED),
            },
            Some(Command::Topology(arguments)) => match topology(self, arguments).await {
                Ok(code) => code,
                Err(error) => failed(&*error, COULD_NOT),
            },
        }
    }
}

async fn topology(mut service: Service, arguments: TopologyArguments) -> Result<ExitCode, Failure> {
    if let Some(url) = arguments.management_url {
        service = service.management_url(url);
    }
    let console = Console { json: arguments.json };
    match arguments.command {
        TopologyCommand::Show => {
            let topology = service.topology()?;
            console.tell(&topology, &topology)?;
            Ok(ExitCode::SUCCESS)
        }
        TopologyCommand::Declare => declare::declare(&Site::of(&service)?, &console).await,
        TopologyCommand::Diff => diff::diff(&Site::of(&service)?, &console).await,
        TopologyCommand::Migrate(options) => migrate::migrate(&service, &options, &console).await,
        TopologyCommand::Prune(options) => prune::prune(&Site::of(&service)?, &options, &console).await,
    }
}

/// Prints an error with what caused it.
fn failed(error: &(dyn Error + 'static), code: u8) -> ExitCode {
    let mut said = error.to_string();
    console::complain(format_args!("error: {said}"));
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Many texts hold those of their causes already.
        if !said.contains(&text) {
            console::complain(format_args!("  because: {text}"));
            said = text;
        }
        cause = error.source();
    }
    ExitCode::from(code)
}

#[cfg(test)]
mod tests;
