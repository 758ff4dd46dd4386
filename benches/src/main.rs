//! What an event costs through rabbitry, beside what it costs by hand and through others. `benches/README.md` says how to run
//! it, and what the scenarios are.

mod broker;
mod contender;
mod event;
mod measure;
mod plot;
mod report;
mod scale;
mod scenario;
mod stats;

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, ensure};
use broker::{Aside, Setting};
use clap::Parser;
use contender::{Contender, Guarantee};
use rabbitry::QueueType;
use report::Outcome;
use scenario::Scenario;
use serde_json::{Value, json};
use tokio::runtime::Builder;

/// Measures what events cost, in interleaved rounds, and prints medians, spreads and ratios.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Also>,
    /// The RabbitMQ to use: nothing else should use it, or the machine.
    #[arg(long, env = "AMQP_URL", default_value = "amqp://guest:guest@localhost:5672/%2f", global = true)]
    url: String,
    /// Only these scenarios, also those that run only where they are named (`prefetch-…`).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these contenders.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
    /// How often each contender runs.
    #[arg(long, default_value_t = 15, global = true)]
    rounds: u32,
    /// How many events a run has, instead of what the scenario says; of `scale`, at most.
    #[arg(long, global = true)]
    events: Option<u64>,
    /// No round before the first that counts.
    #[arg(long)]
    cold: bool,
    /// Lists the scenarios and ends.
    #[arg(long)]
    list: bool,
    /// Also writes all rounds into this file.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
    /// Fails if a bound is missed; with fewer than 15 rounds it says little.
    #[arg(long)]
    check: bool,
}

/// What it does instead.
#[derive(Clone, Debug, clap::Subcommand)]
enum Also {
    /// Measures how throughput grows with processes, and memory with what a process holds.
    Scale,
    /// Draws `prefetch.svg` and `scale.svg`.
    Plot {
        /// What was written of the scenarios `prefetch-…`.
        #[arg(long)]
        prefetch: PathBuf,
        /// What `scale` wrote.
        #[arg(long)]
        scale: PathBuf,
        /// The folder that they go to.
        #[arg(long)]
        into: PathBuf,
    },
    /// One of these processes.
    #[command(hide = true)]
    Work(scale::Worker),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(command) = &arguments.command {
        also(&arguments, command).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let (scenarios, contenders) = chosen(&arguments)?;
    if arguments.list {
        for scenario in scenarios {
            println!("{:<16} {}", scenario.name, scenario.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let aside =
        if scenarios.iter().any(Scenario::has_broker) { Some(Aside::open(&arguments.url).await?) } else { None };
    let (mut outcomes, mut missed) = (Vec::new(), 0);
    for scenario in scenarios {
        let outcome = measure(&arguments, aside.as_ref(), scenario, &contenders).await?;
        missed += outcome.print().iter().filter(|verdict| !verdict.met).count();
        outcomes.push(outcome.json());
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    write(&arguments, &json!({ "cores": cores, "rounds": arguments.rounds, "scenarios": outcomes }))?;
    if missed > 0 {
        println!("\n{missed} bounds were missed");
    }
    Ok(if missed > 0 && arguments.check { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn also(arguments: &Arguments, command: &Also) -> anyhow::Result<()> {
    let setting = Setting { url: arguments.url.clone(), queue_type: QueueType::Quorum, size: 200, events: 0 };
    match command {
        Also::Work(worker) => scale::work(&setting, *worker).await,
        Also::Scale => write(arguments, &scale::print(&setting, arguments.rounds, arguments.events).await?),
        Also::Plot { prefetch, scale, into } => {
            plot::prefetch(prefetch, &into.join("prefetch.svg"))?;
            plot::scale(scale, &into.join("scale.svg"))
        }
    }
}

/// Writes what was measured into the file that was named.
fn write(arguments: &Arguments, all: &Value) -> anyhow::Result<()> {
    let Some(path) = &arguments.json else { return Ok(()) };
    let text = format!("{}\n", serde_json::to_string_pretty(all)?);
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The scenarios and contenders that are asked for.
fn chosen(arguments: &Arguments) -> anyhow::Result<(Vec<Scenario>, Vec<&'static dyn Contender>)> {
    let (mut scenarios, mut contenders) = (scenario::all(), contender::all());
    for name in &arguments.only {
        ensure!(
            scenarios.iter().any(|scenario| scenario.name == name),
            "there is no scenario `{name}`: --list names them"
        );
    }
    for name in &arguments.contenders {
        ensure!(contenders.iter().any(|contender| contender.name() == name), "there is no contender `{name}`");
    }
    if !arguments.only.is_empty() {
        scenarios.retain(|scenario| arguments.only.iter().any(|name| name == scenario.name));
    } else if !arguments.list {
        scenarios.retain(|scenario| !scenario.on_request);
    }
    if !arguments.contenders.is_empty() {
        contenders.retain(|contender| arguments.contenders.iter().any(|name| name == contender.name()));
    }
    if let Some(events) = arguments.events {
        scenarios.iter_mut().for_each(|scenario| scenario.events = events);
    }
    Ok((scenarios, contenders))
}

/// Runs all contenders of a scenario in turn, as often as is wanted.
async fn measure(
    arguments: &Arguments,
    aside: Option<&Aside>,
    scenario: Scenario,
    contenders: &[&'static dyn Contender],
) -> anyhow::Result<Outcome> {
    let mut taking_part: Vec<_> =
        contenders.iter().filter_map(|contender| Some((*contender, contender.guarantee(scenario.task)?))).collect();
    let mut outcome = Outcome {
        scenario: scenario.clone(),
        contenders: taking_part
            .iter()
            .map(|(contender, guarantee)| (contender.name(), (*guarantee, Vec::new())))
            .collect::<BTreeMap<_, _>>(),
    };
    let setting =
        Setting { url: arguments.url.clone(), queue_type: scenario.queue_type, size: scenario.size, events: 0 };
    if let Some(aside) = aside.filter(|_| scenario.has_broker()) {
        aside.remove_others(&setting).await?;
        setting.declare().await?;
    }
    for round in 0..=arguments.rounds {
        // The first makes caches and pages warm, and the broker's queues.
        if round == 0 && arguments.cold {
            continue;
        }
        // Nobody always comes after the same.
        if !taking_part.is_empty() {
            taking_part.rotate_left(1);
        }
        for (contender, guarantee) in &taking_part {
            let sample = run_once(*contender, *guarantee, aside, &scenario, &setting)
                .await
                .with_context(|| format!("{}, {}", scenario.name, contender.name()))?;
            if let (1.., Some((_, samples))) = (round, outcome.contenders.get_mut(contender.name())) {
                samples.push(sample);
            }
        }
        eprint!("\r{}: round {round} of {}  ", scenario.name, arguments.rounds);
    }
    eprintln!();
    Ok(outcome)
}

/// One contender, on queues that are as they should be.
async fn run_once(
    contender: &'static dyn Contender,
    guarantee: Guarantee,
    aside: Option<&Aside>,
    scenario: &Scenario,
    setting: &Setting,
) -> anyhow::Result<measure::Sample> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share")]
    let events = (scenario.events as f64 * contender.share()).ceil() as u64;
    let setting = Setting { events, ..setting.clone() };
    let broker = aside.filter(|_| scenario.has_broker());
    if let Some(aside) = broker {
        aside.purge(&setting).await?;
        if scenario.is_filled() {
            aside.fill(&setting).await?;
        }
    }
    let (task, owned) = (scenario.task, setting.clone());
    let run = async move { contender.run(task, &owned).await };
    let sample = if scenario.has_broker() {
        // In a task of the runtime's, as a service's routes and handlers are.
        tokio::spawn(run).await??
    } else {
        // On one core: with more, what is measured is which tasks happen to share one.
        let on_one_core = || Builder::new_current_thread().enable_all().build()?.block_on(run);
        tokio::task::spawn_blocking(on_one_core).await??
    };
    if let (Some(aside), true) = (broker, scenario.is_filled() && guarantee.acknowledgements_proven) {
        let left = aside.waiting(&setting.take()).await?;
        ensure!(left == 0, "{left} events are not acknowledged");
    }
    Ok(sample)
}
