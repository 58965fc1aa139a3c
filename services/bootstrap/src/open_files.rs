//! The number of files that a process may have open. Each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard limit. On many systems the soft limit is 1024 and the hard limit far higher.
///
/// # Errors
/// A sentence for the log; the limit stays as it was.
pub(crate) fn raise() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        format!(
            "cannot raise the soft limit of open files ({}) to the hard limit: {error}; raise it with ulimit -n",
            limit.current.unwrap_or_default()
        )
    })
}

/// The soft limit, as it is now.
pub(crate) fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
