//! The last records of this admin, in memory and in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use wsmesh_adapter::ServerName;

use super::record::{Entry, Record};
use crate::access::Caller;

/// How many records are kept.
const KEPT: usize = 1_000;
/// How many new records a subscriber may be behind; then it misses the oldest.
const BEHIND: usize = 256;

/// The audit of this admin. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    admin: ServerName,
    /// Oldest first.
    records: Mutex<VecDeque<Record>>,
    news: broadcast::Sender<Record>,
}

impl Audit {
    /// An empty audit of this admin.
    pub(crate) fn new(admin: ServerName) -> Self {
        Self(Arc::new(Inner {
            admin,
            records: Mutex::default(),
            news: broadcast::Sender::new(BEHIND),
        }))
    }

    /// Records what a caller did. Requests are recorded by the API itself; this is for what is no request of its own.
    pub(crate) fn record(&self, caller: &Caller, entry: Entry) {
        self.add(Record::new(self.0.admin.clone(), caller, entry, Timestamp::now()));
    }

    /// The records that are new from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Record> {
        self.0.news.subscribe()
    }

    fn add(&self, record: Record) {
        tracing::info!(
            target: "audit",
            caller = record.caller,
            role = record.role.map(crate::access::Role::as_str),
            action = record.action,
            object = record.target,
            result = record.result.as_str(),
            status = record.status,
            count = record.count,
            "audit"
        );
        // Nobody may listen.
        let _ = self.0.news.send(record.clone());
        let mut records = self.0.records.lock();
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }
}
