//! Migrates the queue `stock.reserve` to the type `TO`, for tests that end this process on its way. `AMQP_URL` is the broker;
//! `ABORT_AT` the number of the step, from 0, behind which the process ends at once. It prints each step, a line each.

use std::io::Write;

use rabbitry::{QueueType, operate::Migration};
use rabbitry_tests::stock;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    rabbitry_tests::log();
    let to = if std::env::var("TO")? == "quorum" { QueueType::Quorum } else { QueueType::Classic };
    let abort_at: Option<u64> = std::env::var("ABORT_AT").ok().and_then(|step| step.parse().ok());
    let migration = Migration::of(&stock(to), "stock.reserve")?.quiet("100ms").all_stopped(true);
    let mut steps = 0;
    migration
        .run(|step| {
            let mut out = std::io::stdout().lock();
            // One write each: a line of a killed process is whole or not there.
            let _ = out.write_all(format!("{step}\n").as_bytes());
            let _ = out.flush();
            if abort_at == Some(steps) {
                std::process::abort();
            }
            steps += 1;
        })
        .await?;
    Ok(())
}
