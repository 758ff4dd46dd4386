//! What the services of the suite say to each other.

use rabbitry::event;

/// The beginning of a subject that is no event's, but asks whether a consumer is there.
pub(crate) const PROBE: &str = "probe.";

/// What the sources publish.
#[event("order")]
pub(crate) struct Order {
    /// What becomes of it, see [`Fate`](super::fate::Fate).
    #[key]
    pub(crate) subject: String,
}

/// What the handler of orders returns.
#[event("shipment")]
pub(crate) struct Shipment {
    /// What becomes of it.
    #[key]
    pub(crate) subject: String,
}

/// What the handler of shipments publishes on schedule.
#[event("reminder")]
pub(crate) struct Reminder {
    /// What becomes of it.
    #[key]
    pub(crate) subject: String,
}
