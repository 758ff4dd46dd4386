//! What tests of services and of transports use. Its functions panic when what they expect does not come.

pub mod conformance;

#[doc(inline)]
pub use crate::__conformance_suite as conformance_suite;
