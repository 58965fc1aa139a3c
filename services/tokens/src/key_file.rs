//! The keys of a file, as the file is now, and for a while those that they replaced.

use std::sync::Arc;
use std::time::Duration;

use wsmesh_bootstrap::{Live, SecretFile};

use crate::keys::KeySet;

/// The keys of a file. Others may still sign with the keys before a change, so those are accepted for a while, too.
#[derive(Debug)]
pub struct KeyFile {
    keys: Live<KeySet>,
    overlap: Duration,
}

impl KeyFile {
    /// The keys of a file that `read` understands; it is read again every few seconds. Former keys are accepted for `overlap`
    /// after they were replaced. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What `read` says.
    pub fn start(
        file: &SecretFile,
        read: impl Fn(&SecretFile) -> Result<KeySet, String> + Send + 'static,
        overlap: Duration,
    ) -> Result<Self, String> {
        let keys = Live::start(file, overlap, read)?;
        Ok(Self { keys, overlap })
    }

    /// The keys that are accepted now.
    pub(crate) fn in_force(&self) -> Vec<Arc<KeySet>> {
        self.keys.in_force(self.overlap)
    }
}

/// Keys that stay as they are.
impl From<KeySet> for KeyFile {
    fn from(keys: KeySet) -> Self {
        Self {
            keys: Live::fixed(keys),
            overlap: Duration::ZERO,
        }
    }
}

/// No keys.
impl Default for KeyFile {
    fn default() -> Self {
        KeySet::default().into()
    }
}
