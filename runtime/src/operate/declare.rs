//! `topology declare`: creates what is missing.

use std::process::ExitCode;

use serde_json::json;

use super::{Failure, console::Console};
use crate::{service::Site, topology::TopologyMode, transport::TransportError};

pub(super) async fn declare(site: &Site, console: &Console) -> Result<ExitCode, Failure> {
    let broker = site.transport.address();
    let connection = site.connect("declaring").await.map_err(|error| unasked(&broker, &error))?;
    let declared = connection.declare(&site.topology, TopologyMode::Declare).await;
    connection.close().await;
    declared.map_err(|error| match error {
        TransportError::Refused { code, text } => {
            format!("not all could be declared: RabbitMQ at {broker} answered {code}: {text}")
        }
        lost => format!("not all may be declared: lost RabbitMQ at {broker}: {lost}"),
    })?;
    let topology = &site.topology;
    let (exchanges, queues, bindings) = (topology.exchanges.len(), topology.queues.len(), topology.bindings.len());
    console.tell(
        &format!(
            "All that {} needs is on RabbitMQ at {broker}: {exchanges} exchanges, {queues} queues, {bindings} bindings\n",
            site.service
        ),
        &json!({ "service": site.service, "broker": broker, "exchanges": exchanges, "queues": queues, "bindings": bindings }),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Why a broker could not be asked.
pub(super) fn unasked(broker: &str, error: &TransportError) -> String {
    match error {
        TransportError::Refused { code, text } => format!("RabbitMQ at {broker} answered {code}: {text}"),
        lost => format!("RabbitMQ at {broker} cannot be reached: {lost}"),
    }
}
