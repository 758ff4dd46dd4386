//! What a service does about its plan when it connects.

/// What a service does about its [`Topology`](super::Topology) each time it connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopologyMode {
    /// Creates what is missing. Something that is there with other arguments is an error. Default.
    #[default]
    Declare,
    /// Creates nothing, and checks that exchanges and queues are there: for users without the permission to configure.
    /// AMQP alone cannot show their arguments or bindings; with [`Service::management_url`](crate::Service::management_url)
    /// these are checked at the start, too, and a difference that breaks what is promised is an error that lists them all.
    Verify,
    /// Neither creates nor checks.
    Assume,
}
