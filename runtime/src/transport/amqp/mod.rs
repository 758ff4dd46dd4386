//! RabbitMQ by lapin. No other module names lapin.

mod address;
mod connection;
mod consume;
mod convert;
mod declare;
mod dial;
mod error;
mod guard;
mod publish;
mod remove;

pub(super) use address::Address;
pub use address::InvalidUrl;
use connection::Connection;
use error::error;
#[cfg(any(fuzzing, test))]
pub(crate) use guard::fuzz;
pub(super) use publish::AmqpConfirm;
