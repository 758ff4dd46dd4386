//! Which broker the shop runs on: the one that is named, else one that is there, else one of its own.

use std::{sync::Arc, time::Duration};

use rabbitry::{Broker, Clock, SystemClock};

/// Where a RabbitMQ is that was just installed.
pub const NEARBY: &str = "amqp://guest:guest@localhost:5672/%2f";

/// How long it may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(1);

/// A broker, and why it is that one.
#[derive(Debug)]
pub struct Choice {
    /// The broker.
    pub broker: Broker,
    /// Which one, and why, for people.
    pub why: String,
}

/// Chooses: the RabbitMQ of the URL `named`, if there is one; else that of the URL `nearby`, if it answers; else one in the
/// memory of this process.
///
/// # Errors
/// `named` is no URL of a RabbitMQ.
pub async fn choose(named: Option<&str>, nearby: &str) -> anyhow::Result<Choice> {
    if let Some(url) = named.filter(|url| !url.is_empty()) {
        let broker = Broker::amqp(url);
        let address = broker.transport()?.address();
        return Ok(Choice { broker, why: format!("RabbitMQ at {address}, as AMQP_URL says") });
    }
    let broker = Broker::amqp(nearby);
    let address = broker.transport()?.address();
    Ok(match answers(&broker).await {
        Ok(()) => Choice { broker, why: format!("RabbitMQ at {address}, which answers (AMQP_URL is not set)") },
        Err(error) => {
            let why =
                format!("the memory of this process: AMQP_URL is not set, and at {address} is no RabbitMQ ({error})");
            Choice { broker: Broker::memory(), why }
        }
    })
}

/// Whether a RabbitMQ is there that lets us in. That something takes connections at its port is no proof.
async fn answers(broker: &Broker) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let transport = broker.transport()?;
    let connecting = transport.connect("shop: is a RabbitMQ here?", &clock);
    let Ok(connected) = tokio::time::timeout(PATIENCE, connecting).await else {
        anyhow::bail!("no answer within {} s", PATIENCE.as_secs());
    };
    connected?.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_broker_that_is_named_is_taken_unasked() {
        let Choice { broker, why } = choose(Some("amqp://me:secret@example.invalid/x"), NEARBY).await.unwrap();
        assert!(why.starts_with("RabbitMQ at ") && why.ends_with(", as AMQP_URL says"), "{why}");
        assert!(why.contains("example.invalid") && !why.contains("secret"), "{why}");
        assert!(format!("{broker:?}").contains("example.invalid"));
        assert!(choose(Some("http://localhost"), NEARBY).await.is_err());
    }

    #[tokio::test]
    async fn without_one_that_answers_it_is_memory() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        for named in [None, Some("")] {
            let Choice { why, .. } = choose(named, &format!("amqp://guest:guest@127.0.0.1:{port}/%2f")).await.unwrap();
            assert!(why.starts_with("the memory of this process"), "{why}");
        }
    }

    /// Something else may have the port: it takes the connection and says nothing, or something that is not AMQP.
    #[tokio::test]
    async fn what_takes_connections_and_speaks_no_amqp_is_none() {
        for says in ["", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
            let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = other.local_addr().unwrap().port();
            tokio::spawn(async move {
                let mut open = Vec::new();
                while let Ok((connection, _)) = other.accept().await {
                    _ = connection.try_write(says.as_bytes());
                    open.push(connection);
                }
            });
            let begun = Instant::now();
            let Choice { why, .. } = choose(None, &format!("amqp://guest:guest@127.0.0.1:{port}/%2f")).await.unwrap();
            assert!(why.starts_with("the memory of this process"), "{why}");
            assert!(begun.elapsed() < PATIENCE * 3, "it took {:?}", begun.elapsed());
        }
    }
}
