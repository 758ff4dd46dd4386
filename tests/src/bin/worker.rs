//! A service for tests that end its process: it handles `job.*` and prints what it does, a line each.
//!
//! `AMQP_URL` is the broker; `ABORT_ON` the number that ends the process at once, after `ABORT_AFTER` ms; `HOLD` the
//! number that is held for ever, or `HOLD_MS` ms; `EACH_MS` how long all others take; `ATTEMPTS` the runs in all; `PREFETCH` how many
//! are sent ahead; `GRACE` the grace period; with `ECHO` it says again, as `echo`, what it has handled.

use std::{io::Write, time::Duration};

use rabbitry::{AnyEvent, RetryPolicy, Service, Subscription};
use rabbitry_tests::{number, numbered};

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn say(what: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    // One write each: a line of a killed process is whole or not there.
    let _ = out.write_all(format!("{what} {number}\n").as_bytes());
    let _ = out.flush();
}

async fn handle(event: AnyEvent) -> Option<AnyEvent> {
    let number = number(&event);
    say("begun", number);
    if variable("ABORT_ON") == Some(number) {
        tokio::time::sleep(Duration::from_millis(variable("ABORT_AFTER").unwrap_or(0))).await;
        std::process::abort();
    }
    if variable("HOLD") == Some(number) {
        match variable("HOLD_MS") {
            Some(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            None => std::future::pending().await,
        }
    }
    tokio::time::sleep(Duration::from_millis(variable("EACH_MS").unwrap_or(0))).await;
    say("handled", number);
    std::env::var_os("ECHO").map(|_| numbered("echo", number))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    rabbitry_tests::log();
    let mut policy = RetryPolicy::default();
    if let Some(attempts) = variable("ATTEMPTS") {
        policy = policy.attempts(attempts);
    }
    let mut subscription = Subscription::to("job.*").name("work").retry(policy);
    if let Some(prefetch) = variable::<u16>("PREFETCH") {
        subscription = subscription.prefetch(prefetch).concurrency(prefetch.min(16));
    }
    let subscription = subscription.handler(handle);
    let mut service = Service::new("worker").subscription(subscription);
    if let Some(grace) = variable::<String>("GRACE") {
        service = service.grace(grace.as_str());
    }
    service.run().await?;
    Ok(())
}
