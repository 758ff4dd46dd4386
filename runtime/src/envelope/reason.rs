//! Why a run failed, as one stable word.

/// Why a handler's run on an event failed. Written into the headers of retries and dead letters as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// `error`: the handler returned an error.
    Error,
    /// `rejected`: the handler said that no retry will help.
    Rejected,
    /// `timeout`: the handler did not end within its time.
    Timeout,
    /// `panic`: the handler panicked.
    Panic,
    /// `undecodable`: the message could not be read as an event that the handler takes.
    Undecodable,
    /// `abandoned`: the broker delivered it three times and no consumer lived to settle it.
    Abandoned,
    /// `unpublishable`: the handler ended well, but what it returned can never be published.
    Unpublishable,
}

impl Reason {
    /// The word in the header `rabbitry-reason`. Never changes for a reason that exists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::Undecodable => "undecodable",
            Self::Abandoned => "abandoned",
            Self::Unpublishable => "unpublishable",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
