//! A server's wall clock that can be set: libfaketime, preloaded into its process. The monotonic clock is not changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where distributions install the library.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

/// The wall clock of one server.
#[derive(Debug)]
pub(crate) struct WallClock {
    library: PathBuf,
    file: PathBuf,
}

impl WallClock {
    /// A clock that shows the true time until it is set.
    ///
    /// # Errors
    /// When libfaketime is missing (says how to install it).
    pub(crate) fn new(folder: &Path, server: usize) -> anyhow::Result<Self> {
        let library = LIBRARIES.iter().map(Path::new).find(|path| path.exists());
        let clock = Self {
            library: library
                .context("libfaketime is missing: install it (Debian: apt-get install faketime), or run `make test`")?
                .to_owned(),
            file: folder.join(format!("clock-{server}")),
        };
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets its offset from the true time.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub(crate) fn set(&self, offset_s: i64) -> anyhow::Result<()> {
        // Written to another file and renamed: a reader never sees half of it.
        let aside = self.file.with_extension("new");
        std::fs::write(&aside, format!("{offset_s:+}\n"))?;
        std::fs::rename(aside, &self.file)?;
        Ok(())
    }

    /// The environment variables for the process.
    pub(crate) fn environment(&self) -> HashMap<String, String> {
        let pairs = [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }
}
