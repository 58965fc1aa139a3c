//! The limit of open sockets of this process.

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that are not connections.
const OTHERS: u64 = 64;

/// Raises the soft limit of open files to what this many connections need.
///
/// # Errors
/// When the hard limit is lower; the message says how to raise it.
pub fn allow(connections: usize) -> anyhow::Result<()> {
    let needed = connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        bail!(
            "{connections} connections need {needed} open files, and this process may have {} at most: run `ulimit -Hn \
             {needed}` as root, or give fewer --connections",
            limit.maximum.unwrap_or_default()
        );
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}
