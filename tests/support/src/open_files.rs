//! Room for the sockets of tests that open thousands.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and those that it starts, have so many files open.
///
/// # Panics
/// When the hard limit is lower; the message says how to raise it.
pub fn need_open_files(files: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= files) {
        return;
    }
    let raised = Rlimit {
        current: Some(files),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .unwrap_or_else(|error| panic!("{files} open files are needed: raise the hard limit (ulimit -Hn): {error}"));
}
