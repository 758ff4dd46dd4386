//! `topology migrate`: moves handlers' queues to the plan's arguments.

use std::process::ExitCode;

use serde::Serialize;

use super::{Failure, Found, Migrated, Migration, Step, arguments::MigrateOptions, console::Console};
use crate::Service;

/// What became of a queue.
#[derive(Debug, Serialize)]
struct Outcome {
    queue: String,
    #[serde(flatten)]
    found: Found,
    /// What was moved, if it was to be migrated.
    #[serde(skip_serializing_if = "Option::is_none")]
    migrated: Option<Migrated>,
}

pub(super) async fn migrate(
    service: &Service,
    options: &MigrateOptions,
    console: &Console,
) -> Result<ExitCode, Failure> {
    let queues = match &options.queue {
        Some(queue) => vec![queue.clone()],
        None => service.topology()?.work_queues().map(|queue| queue.name.clone()).collect(),
    };
    let (mut outcomes, mut to_do) = (Vec::new(), Vec::new());
    for queue in queues {
        let migration = Migration::of(service, &queue)?.quiet(&*options.quiet).all_stopped(options.all_stopped);
        let found = migration.look().await?;
        console.say(format_args!("{queue}: {found}"));
        if found.is_to_be_migrated() {
            to_do.push((outcomes.len(), migration));
        }
        outcomes.push(Outcome { queue, found, migrated: None });
    }
    if to_do.is_empty() {
        console.tell(&"Nothing is to be migrated.\n", &outcomes)?;
        return Ok(ExitCode::SUCCESS);
    }
    let question = format!(
        "Migrate {}? Every instance of {} must be stopped, and stay so until this is done.",
        if to_do.len() == 1 { "this queue".to_owned() } else { format!("these {} queues", to_do.len()) },
        service.name
    );
    if !console.confirm(&question, options.yes).await? {
        console.say("Nothing was changed.");
        return Ok(ExitCode::SUCCESS);
    }
    for (position, migration) in to_do {
        let mut moved = 0;
        let migrated = migration.run(|step| match step {
            Step::Copied { .. } => {}
            Step::Moved { messages, .. } => moved += messages,
            Step::Left { .. } => {
                console.say(format_args!("  moved {} messages; {step}", std::mem::take(&mut moved)));
            }
            step => console.say(format_args!("  {step}")),
        });
        let migrated = migrated.await?;
        if let Some(outcome) = outcomes.get_mut(position) {
            outcome.migrated = Some(migrated);
        }
    }
    console.tell(&"Done. The service can be started.\n", &outcomes)?;
    Ok(ExitCode::SUCCESS)
}
