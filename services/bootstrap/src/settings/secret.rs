//! Secrets: read from files, never shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Value;

/// Larger files are not read.
const MAX_BYTES: u64 = 1024 * 1024;

/// Bytes that are never shown: not by `Debug`, not by `--print-config`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the code that uses the secret.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn expose_text(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// A secret that is set by the name of the file that holds it, for example a mounted Secret of Kubernetes. The file is read
/// with the configuration, so that a missing or empty file is listed with the other problems. Line ends at the end of the file
/// are not part of the secret. In a table of the file it is the file's name, too.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub struct SecretFile {
    path: PathBuf,
    secret: Secret,
}

impl SecretFile {
    /// Reads the file.
    ///
    /// # Errors
    /// A sentence that names the file and says what is wrong.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, String> {
        let path = path.into();
        let failed = |error: std::io::Error| {
            format!(
                "cannot read {}: {error}; name a file that this user may read",
                path.display()
            )
        };
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(failed)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!(
                "{} has more than {MAX_BYTES} bytes: name the file with the secret",
                path.display()
            ));
        }
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.is_empty() {
            return Err(format!("{} is empty: write the secret into it", path.display()));
        }
        let secret = Secret(bytes);
        Ok(Self { path, secret })
    }

    /// A secret from elsewhere, for tests and for services started by code.
    pub fn from_secret(secret: Secret) -> Self {
        let path = PathBuf::new();
        Self { path, secret }
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret in the file.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl TryFrom<PathBuf> for SecretFile {
    type Error = String;

    fn try_from(path: PathBuf) -> Result<Self, String> {
        Self::read(path)
    }
}

/// The file's name.
impl From<SecretFile> for PathBuf {
    fn from(file: SecretFile) -> Self {
        file.path
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({})", self.path.display())
    }
}

impl Value for SecretFile {
    const HINT: &'static str = "FILE";

    fn parse(text: &str) -> Result<Self, String> {
        Self::read(text)
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.path.display().to_string().into())
    }
}
