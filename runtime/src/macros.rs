//! The macros, with their documentation.

pub use rabbitry_macros::{EventSet, event, payload, subscribe, subscriptions};
