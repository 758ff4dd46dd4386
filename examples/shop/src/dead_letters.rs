//! What is among the dead letters. It is looked at and stays there.

use std::{sync::Arc, time::Duration};

use rabbitry::{
    Broker, Clock, SystemClock,
    transport::{HeaderValue, Message},
};
use serde_json::Value;

/// How long one may take that is on its way.
const PATIENCE: Duration = Duration::from_secs(10);

/// A dead letter: an event, and why it is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeadLetter {
    pub(crate) event: String,
    pub(crate) key: String,
    pub(crate) attempts: String,
    pub(crate) reason: String,
    pub(crate) error: String,
}

/// Looks for so many dead letters of a queue that are about `ours`, and waits a while for those that are not there yet.
pub(crate) async fn look(
    broker: &Broker,
    queue: &str,
    ours: impl Fn(&str) -> bool,
    wanted: usize,
) -> anyhow::Result<Vec<DeadLetter>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connection = broker.transport()?.connect("shop: what is dead?", &clock).await?;
    let mut channel = connection.consume_channel(format!("{queue}.dead")).await?;
    // All at once, since none is settled: what was dead before this comes first.
    channel.consume(u16::MAX).await?;
    let mut found = Vec::new();
    let looking = async {
        while found.len() < wanted {
            let Some(delivery) = channel.next().await? else { break };
            found.extend(DeadLetter::read(&delivery.message).filter(|letter| ours(&letter.key)));
        }
        anyhow::Ok(())
    };
    if let Ok(looked) = tokio::time::timeout(PATIENCE, looking).await {
        looked?;
    }
    // This gives them back.
    channel.close().await?;
    connection.close().await;
    found.sort();
    Ok(found)
}

impl DeadLetter {
    /// Reads what the shop's own services leave there.
    fn read(message: &Message) -> Option<Self> {
        let body: Value = serde_json::from_slice(&message.body).ok()?;
        let header = |name: &str| match message.properties.headers.get(name) {
            Some(HeaderValue::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            Some(HeaderValue::I64(number)) => number.to_string(),
            Some(HeaderValue::I32(number)) => number.to_string(),
            Some(HeaderValue::U32(number)) => number.to_string(),
            _ => "?".to_owned(),
        };
        Some(Self {
            event: body["eventType"].as_str()?.to_owned(),
            key: body["metadata"]["key"].as_str()?.to_owned(),
            attempts: header("rabbitry-attempt"),
            reason: header("rabbitry-reason"),
            error: header("rabbitry-error"),
        })
    }
}
