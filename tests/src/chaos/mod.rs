//! The chaos suite: services in processes of their own, a broker and a network that are broken while they work, and a
//! ledger that tells in the end whether anything is lost.
//!
//! Sources publish, sinks handle. What becomes of an event is decided by its subject (`fate`), so the ledger knows what to
//! expect. Processes say what they do, a line each (`line`); a pipe keeps what a killed process has said. Faults come from a
//! seed (`plan`), at moments of the traffic; after each the run waits until everybody is back (`back`). What must be in the
//! end: every event that was confirmed, and every event that follows from a handled one, is handled or among the dead letters.

mod back;
mod events;
mod fate;
mod faults;
mod journal;
mod ledger;
mod line;
mod members;
mod options;
mod plan;
mod process;
mod report;
mod role;
mod run;
mod settle;
mod sink;
mod site;
mod source;
mod traffic;

use std::path::Path;

pub use members::Members;
pub use options::{Options, USAGE};
pub use plan::Kind;
pub use report::Report;
pub use role::role;
pub use site::Site;

/// Runs the suite. `program` is the binary whose processes [`role`] makes sources and sinks.
///
/// It prints the seed first, and a line for each round; the ledger is what it returns.
///
/// # Panics
/// The run itself cannot be: the broker does not start, a process is not ready at the beginning.
pub async fn run(program: &Path, site: &Site, options: &Options) -> Report {
    let logs = options.logs();
    std::fs::create_dir_all(&logs).unwrap_or_else(|error| panic!("{}: {error}", logs.display()));
    println!("seed {}: scripts/chaos {options}; logs are in {}", options.seed, logs.display());
    let report = Report::new(options.seed, options.to_string(), site.version().await);
    let program = process::Program { path: program.to_owned(), seed: options.seed, logs };
    run::Run::start(site, program, options, report).await.run().await
}
