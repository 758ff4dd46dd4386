//! A customer's HTTP client.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends JSON. Anything but success is an error.
pub(crate) async fn post(url: String, body: Value) -> anyhow::Result<()> {
    let what = format!("POST {url} {body}");
    ask(what, move |agent| agent.post(&url).send_json(body)).await?;
    Ok(())
}

/// Asks for JSON.
pub(crate) async fn get(url: String) -> anyhow::Result<Value> {
    ask(format!("GET {url}"), move |agent| agent.get(&url).call()).await
}

type Answer = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// `ureq` waits on its thread, so it gets one of its own.
async fn ask(what: String, request: impl FnOnce(&ureq::Agent) -> Answer + Send + 'static) -> anyhow::Result<Value> {
    let asking = tokio::task::spawn_blocking(move || {
        // It is this machine, whatever proxy leads to others.
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build();
        request(&config.into())?.body_mut().read_json()
    });
    asking.await?.context(what)
}
