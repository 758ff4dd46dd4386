//! Asking: one question is one GET, bounded in time and size.

use std::{io, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::{Agent, http::StatusCode};

use super::{Address, ManagementError};
use crate::time::Clock;

/// How long one answer may take, from the first byte sent to the last one read. A process that ends waits for an answer in
/// flight, so it is short.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 16 * 1024 * 1024;

/// Who asks a management API.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    address: Arc<Address>,
    clock: Arc<dyn Clock>,
}

impl Client {
    pub(super) fn new(address: Address, clock: Arc<dyn Clock>) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            // The API sends nobody elsewhere; what does is something else, and must not get our credentials.
            .max_redirects(0)
            // As AMQP goes to the broker itself, too.
            .proxy(None)
            .user_agent("rabbitry");
        Self { agent: with_tls(config).build().into(), address: Arc::new(address), clock }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Something of the virtual host; `None` if it is not there. `what` is the kind, as in the API's paths, and `rest` what
    /// follows behind the virtual host.
    pub(super) async fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        what: &str,
        rest: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<T>, ManagementError> {
        let mut parts = vec![what, self.address.vhost.as_str()];
        parts.extend(rest);
        let url = self.address.of(&parts, query);
        let client = self.clone();
        let asking = tokio::task::spawn_blocking(move || client.ask(&url));
        tokio::select! {
            biased;
            answer = asking => answer.unwrap_or_else(|ended| Err(lasting(format!("cannot be asked: {ended}")))),
            // The request has a limit of its own, but not for looking up the host.
            () = self.clock.sleep(2 * ANSWER_TIMEOUT) => Err(no_answer()),
        }
    }

    fn ask<T: DeserializeOwned>(&self, url: &str) -> Result<Option<T>, ManagementError> {
        let request = self.agent.get(url).header("authorization", &self.address.authorization);
        let mut response = request.call().map_err(|error| failed(&error))?;
        let status = response.status();
        let body =
            response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_vec().map_err(|error| failed(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| not_the_api(&format!("its answer cannot be read: {error}")));
        }
        let reason = serde_json::from_slice::<Value>(&body).ok();
        let reason = reason.as_ref().and_then(|body| body.get("reason")).and_then(Value::as_str);
        match (status, reason) {
            (StatusCode::NOT_FOUND, Some(_)) => Ok(None),
            (StatusCode::UNAUTHORIZED, reason) => Err(self.unauthorised(reason.unwrap_or_default())),
            (status, _) if status.is_server_error() => Err(passing(format!("answered {status}: see RabbitMQ's log"))),
            (status, _) if status.is_redirection() => {
                Err(not_the_api(&format!("it answered {status}, to go elsewhere: give the address that it leads to")))
            }
            (status, Some(reason)) => Err(lasting(format!("answered {status}: {reason}"))),
            (status, None) => Err(not_the_api(&format!("it answered {status}"))),
        }
    }

    fn unauthorised(&self, reason: &str) -> ManagementError {
        let Address { user, vhost, .. } = &*self.address;
        lasting(if reason.contains("Not management user") {
            format!(
                "user `{user}` may not use it: give it the tag `management` (rabbitmqctl set_user_tags {user} management)"
            )
        } else if reason.contains("virtual host") {
            format!(
                "user `{user}` sees nothing of the virtual host `{vhost}`: give it permissions there, be they empty (rabbitmqctl set_permissions -p {vhost} {user} '^$' '^$' '^$')"
            )
        } else {
            format!("does not let user `{user}` in: its name or password is wrong")
        })
    }
}

/// What ureq says, in our words. Its own never hold the credentials, which are in a header.
fn failed(error: &ureq::Error) -> ManagementError {
    match error {
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => passing(
            "nothing listens there: is the plugin on (rabbitmq-plugins enable rabbitmq_management), and the port the management API's (15672, unless configured)?".to_owned(),
        ),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => no_answer(),
        ureq::Error::Timeout(_) => no_answer(),
        ureq::Error::HostNotFound => passing("its host is not known".to_owned()),
        ureq::Error::Io(error) => passing(format!("the connection failed: {error}")),
        ureq::Error::BodyExceedsLimit(_) => {
            lasting(format!("an answer has more than {} MiB", ANSWER_LIMIT / (1024 * 1024)))
        }
        ureq::Error::Protocol(_) => not_the_api("what answers does not speak HTTP: is it AMQP's port?"),
        other => lasting(format!("cannot be asked: {other}")),
    }
}

fn no_answer() -> ManagementError {
    passing(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))
}

fn not_the_api(why: &str) -> ManagementError {
    lasting(format!("this is not RabbitMQ's management API ({why})"))
}

pub(super) fn lasting(text: String) -> ManagementError {
    ManagementError { text, passing: false }
}

fn passing(text: String) -> ManagementError {
    ManagementError { text, passing: true }
}

type Config = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

#[cfg(not(feature = "tls"))]
fn with_tls(config: Config) -> Config {
    config
}

/// The machine's own certificates, as for AMQP.
#[cfg(feature = "tls")]
fn with_tls(config: Config) -> Config {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    // Those that cannot be read are not trusted, and that is what an error then says.
    let certificates = rustls_native_certs::load_native_certs().certs;
    let certificates = certificates.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    let roots = RootCerts::Specific(Arc::new(certificates.collect()));
    config.tls_config(TlsConfig::builder().root_certs(roots).build())
}
