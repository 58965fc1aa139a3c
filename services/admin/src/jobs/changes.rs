//! The changes of jobs as they happen, for streams. Only the newest version of each job is kept for a reader that is slow, so readers
//! need no queue.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::job::Job;
use super::ledger::Ledger;

/// Reads changes of jobs.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) revisions: watch::Receiver<u64>,
    pub(super) seen: u64,
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
            self.revisions.changed().await.ok()?;
        }
    }
}
