//! RabbitMQ by lapin. No other module names lapin.

mod address;
mod connection;
mod consume;
mod convert;
mod declare;
mod dial;
mod guard;
mod publish;

pub(super) use address::Address;
pub use address::InvalidUrl;
use connection::Connection;
#[cfg(fuzzing)]
pub(crate) use guard::fuzz;

use super::TransportError;

/// What an error of lapin's means for us.
fn error(error: &lapin::Error) -> TransportError {
    let lapin::ErrorKind::ProtocolError(answer) = error.kind() else {
        return TransportError::lost(error.to_string());
    };
    let code = answer.get_id();
    let text = answer.get_message().to_string();
    match code {
        // The operator closed the connection, or the broker stops, or is in trouble itself.
        320 | 504..=506 | 541 => TransportError::lost(format!("the broker closed the connection: {text}")),
        _ => TransportError::Refused { code, text },
    }
}
