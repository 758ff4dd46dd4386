//! What can be asked for, and its help: read at three in the morning by somebody who did not write the service.

use std::{ffi::OsString, process::ExitCode};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

/// What a command line asks for.
#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true, after_help = AFTER)]
pub(super) struct Asked {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

const AFTER: &str = "\
The broker is the one that the program names, else that of the environment's AMQP_URL.

Exit codes:
  0  done; for `topology diff`: no differences
  1  the service failed; for `topology diff`: differences
  2  it could not be done";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the service until SIGTERM or SIGINT. This is what happens without a command, too.
    Run,
    /// Look after what the service needs on the broker: its exchanges, queues and bindings.
    Topology(TopologyArguments),
}

#[derive(Debug, Args)]
pub(super) struct TopologyArguments {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// RabbitMQ's management API, which knows what AMQP does not tell: http://user:password@host:15672. Without a user and
    /// password it gets the broker's.
    #[arg(long, global = true, env = "RABBITRY_MANAGEMENT_URL", hide_env_values = true, value_name = "URL")]
    pub(super) management_url: Option<String>,
    #[command(subcommand)]
    pub(super) command: TopologyCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TopologyCommand {
    /// Show what the service needs. Asks no broker.
    Show,
    /// Create what is missing, and consume nothing: for deploys. It changes and removes nothing that is there.
    Declare,
    /// Compare what the service needs with what the broker has. Changes nothing.
    ///
    /// Ends with 0 if there is no difference, with 1 if there are some, with 2 if it could not be checked. AMQP tells
    /// whether things are there and the first argument that differs; for the rest give --management-url.
    Diff,
    /// Move a handler's queue to the plan's arguments or type, or go on with that. Loses nothing, wherever it is interrupted.
    ///
    /// First stop every instance of the service, and keep them stopped: it refuses to begin while something consumes the queue.
    /// The messages go to a holding queue, QUEUE.migrating, which gets all new events, too; the queue is made anew, and they
    /// come back. If it is interrupted, run it again: it goes on. Some events may come twice, with the same id.
    ///
    /// Without QUEUE it does so with all queues that differ from the plan. With --management-url it moves bindings along that
    /// are not in the plan, and proves that nobody has a message in hand.
    Migrate(MigrateOptions),
    /// Remove the bindings that renamed or removed handlers left, after showing them. Needs --management-url.
    ///
    /// It removes no queue and no message: what is in a queue stays there. Bindings of delay ladders stay, too, since retries
    /// come back by them; --retries removes them when no retry waits any more.
    Prune(PruneOptions),
}

#[derive(Debug, Args)]
pub(super) struct MigrateOptions {
    /// The queue; without it all that differ from the plan.
    pub(super) queue: Option<String>,
    /// Migrate without asking.
    #[arg(long)]
    pub(super) yes: bool,
    /// Every instance of the service has ended. A classic queue does not tell, so it needs this or --management-url.
    #[arg(long)]
    pub(super) all_stopped: bool,
    /// How long a queue must have got nothing before it is deleted, and have been there before anything is moved to it. More
    /// for a cluster that is in trouble.
    #[arg(long, default_value = "3s", value_name = "DURATION")]
    pub(super) quiet: String,
}

#[derive(Debug, Args)]
pub(super) struct PruneOptions {
    /// Remove them without asking.
    #[arg(long)]
    pub(super) yes: bool,
    /// Also remove those of delay ladders: retries that still wait there will be undeliverable.
    #[arg(long)]
    pub(super) retries: bool,
}

impl Asked {
    /// Reads a command line, or prints what is wrong with it, or the help that it asks for.
    pub(super) fn read(arguments: impl IntoIterator<Item = OsString>, service: &str) -> Result<Self, ExitCode> {
        let about = format!("The service `{service}`.");
        let read = Self::command().about(about).try_get_matches_from(arguments);
        read.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| {
            // Whoever closed the pipe reads no error, either.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(super::COULD_NOT))
        })
    }
}
