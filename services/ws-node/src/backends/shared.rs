//! What all backends share: the runtime that calls run on, connections, files with secrets, metrics, and when something was logged
//! last.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use wsmesh_bootstrap::{HttpUrl, Live, SecretFile};

use super::client::{self, HttpClient};
use super::metrics::BackendMetrics;
use super::signature::SigningKeys;
use crate::seldom::Seldom;

/// How often it is logged that a URL makes trouble of one kind.
const TROUBLE_EVERY: Duration = Duration::from_secs(60);

/// What all backends share.
pub(crate) struct Shared {
    pub(super) runtime: Handle,
    pub(super) metrics: BackendMetrics,
    /// By the file with the certificates that are trusted; None: the system's.
    clients: Mutex<HashMap<Option<PathBuf>, Live<HttpClient>>>,
    pub(super) signing_keys: ByFile<SigningKeys>,
    pub(super) authorizations: ByFile<HeaderValue>,
    /// By URL.
    troubles: Mutex<HashMap<String, Arc<Troubles>>>,
}

/// What files with secrets hold: each is read again once, however many backends use it.
pub(super) struct ByFile<T>(Mutex<HashMap<PathBuf, Live<T>>>);

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
            signing_keys: ByFile::default(),
            authorizations: ByFile::default(),
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

impl<T> ByFile<T> {
    /// What this file holds; `start` begins to read it again.
    pub(super) fn of(
        &self,
        file: &SecretFile,
        start: impl FnOnce(&SecretFile) -> Result<Live<T>, String>,
    ) -> Result<Live<T>, String> {
        // Secrets of no file have nothing in common.
        if file.path().as_os_str().is_empty() {
            return start(file);
        }
        let mut files = self.0.lock();
        if let Some(live) = files.get(file.path()) {
            return Ok(live.clone());
        }
        let live = start(file)?;
        files.insert(file.path().to_owned(), live.clone());
        Ok(live)
    }
}

impl<T> Default for ByFile<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::Secret;

    use super::*;

    #[test]
    fn a_file_is_read_by_one_however_many_use_it_and_secrets_of_no_file_stay_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "a").expect("written");
        let (files, file) = (ByFile::default(), SecretFile::read(&path).expect("readable"));
        assert!(files.of(&file, |_| Err("wrong".to_owned())).is_err());
        for number in [1, 2] {
            let live = files.of(&file, |_| Ok(Live::fixed(number))).expect("good");
            assert_eq!(*live.current(), 1);
            let none = SecretFile::from_secret(Secret::new("b"));
            let live = files.of(&none, |_| Ok(Live::fixed(number))).expect("good");
            assert_eq!(*live.current(), number);
        }
    }
}
