//! Why a trace is kept that sampling left out.

/// As attribute of its spans, and as label of what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The status of a span is ERROR.
    Error,
    /// The part of this server took longer than the limit.
    Slow,
}

impl Reason {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
        }
    }
}
