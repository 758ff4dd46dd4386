//! Runs orders alone, or does what else its command line asks for: see `orders --help`.

use std::process::ExitCode;

use rabbitry::Service;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let broker = std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@localhost:5672/%2f".to_owned());
    orders::service().broker(broker).command_line_with(serve).await
}

/// Runs the service with its HTTP side.
async fn serve(service: Service) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,lapin::returned_messages=off"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    orders::Server::start(service, &orders::Settings::from_env()).await?.serve().await
}
