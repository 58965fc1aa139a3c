//! The changes of jobs as they happen, for streams. Only the newest version of each job is kept for a reader that is slow, so readers
//! need no queue.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::job::Job;
use super::ledger::Ledger;

/// Reads changes of jobs.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) revisions: watch::Receiver<u64>,
    pub(super) seen: u64,
    /// When it is cancelled, there are no more changes.
    pub(super) closing: CancellationToken,
}

impl Changes {
    /// Waits until jobs change. Returns them in the order in which they changed; `None` when admin ends.
    pub(crate) async fn next(&mut self) -> Option<Vec<Job>> {
        loop {
            let changed = {
                let ledger = self.ledger.lock();
                let changed = ledger.changed_since(self.seen);
                self.seen = ledger.revision();
                changed
            };
            if !changed.is_empty() {
                return Some(changed);
            }
            tokio::select! {
                changed = self.revisions.changed() => changed.ok()?,
                () = self.closing.cancelled() => return None,
            }
        }
    }
}
