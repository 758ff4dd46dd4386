//! Runs the shop in one process, as one would for a small shop or on a laptop. `--demo` has it place some orders by itself.

use std::{env, io, process::ExitCode};

use shop::{Shop, broker, demo, show};
use tracing_subscriber::EnvFilter;

/// The failures of handlers are among what is shown, so they are not logged again. lapin logs what comes back with its body.
const LOG: &str = "warn,rabbitry::consumer::tell=off,lapin::returned_messages=off";

const USAGE: &str = "\
usage: cargo run -p shop              opens the shop, to try with curl
       cargo run -p shop -- --demo    places some orders by itself; ends with 0 if all went as it should";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let demo = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--demo"] => true,
        _ => {
            eprintln!("{USAGE}");
            return Ok(ExitCode::from(2));
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    let ansi = show::colours(&io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(io::stderr).init();
    let chosen = broker::choose(env::var("AMQP_URL").ok().as_deref(), broker::NEARBY).await?;
    show::say(&format!("The broker is {}.", chosen.why));
    let colours = show::colours(&io::stdout());
    if !demo {
        open(&chosen.broker, colours).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let (said, code) = demo::run(&chosen.broker, colours).await?.verdict();
    show::say(&format!("\n{said}"));
    Ok(ExitCode::from(code))
}

/// Serves until a signal.
async fn open(broker: &rabbitry::Broker, colours: bool) -> anyhow::Result<()> {
    let observer =
        move |run: &rabbitry::observe::Run<'_>| show::say(&show::Line::of(run).to_text(colours, str::to_owned));
    let (orders, inventory) = (orders::Settings::from_env(), inventory::Settings::from_env());
    let shop = Shop::open(broker, observer, &orders, &inventory).await?;
    let (orders, inventory) = shop.addresses()?;
    show::say(&shop::welcome(orders, inventory));
    shop.serve().await
}
