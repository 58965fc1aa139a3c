//! What all backends share: the runtime that calls run on, connections, metrics, and when something was logged last.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use wsmesh_bootstrap::{HttpUrl, Live};

use super::client::{self, HttpClient};
use super::metrics::BackendMetrics;
use crate::seldom::Seldom;

/// How often it is logged that a URL makes trouble of one kind.
const TROUBLE_EVERY: Duration = Duration::from_secs(60);

/// What all backends share.
pub(crate) struct Shared {
    pub(super) runtime: Handle,
    pub(super) metrics: BackendMetrics,
    /// By the file with the certificates that are trusted; None: the system's.
    clients: Mutex<HashMap<Option<PathBuf>, Live<HttpClient>>>,
    /// By URL.
    troubles: Mutex<HashMap<String, Arc<Troubles>>>,
}

/// The trouble with one URL, by its kind.
#[derive(Debug)]
pub(super) struct Troubles {
    pub(super) unreachable: Seldom,
    pub(super) slow: Seldom,
    pub(super) bad_answers: Seldom,
}

impl Shared {
    /// Calls run on this runtime.
    pub(crate) fn new(runtime: Handle, metrics: BackendMetrics) -> Self {
        Self {
            runtime,
            metrics,
            clients: Mutex::default(),
            troubles: Mutex::default(),
        }
    }

    /// The client for those who trust the certificates in this file, or the system's.
    pub(super) fn client(&self, ca_file: Option<PathBuf>) -> Result<Live<HttpClient>, String> {
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&ca_file) {
            return Ok(client.clone());
        }
        let client = client::client(ca_file.as_deref())?;
        clients.insert(ca_file, client.clone());
        Ok(client)
    }

    /// The trouble with this URL.
    pub(super) fn troubles(&self, url: &HttpUrl) -> Arc<Troubles> {
        let new = || Troubles {
            unreachable: Seldom::every(TROUBLE_EVERY),
            slow: Seldom::every(TROUBLE_EVERY),
            bad_answers: Seldom::every(TROUBLE_EVERY),
        };
        let mut troubles = self.troubles.lock();
        let of_url = troubles.entry(url.as_url().to_string());
        Arc::clone(of_url.or_insert_with(|| Arc::new(new())))
    }
}
