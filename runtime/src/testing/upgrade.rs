//! Services as a later rabbitry would run them, for our own tests of upgrades.

use crate::{Service, topology::PlanVersion};

/// The service with a plan of this version; 1 is today's.
#[must_use]
pub fn planned_as(version: u16, mut service: Service) -> Service {
    service.plan_version = PlanVersion::new(version);
    service
}
