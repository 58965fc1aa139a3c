//! The token that opens `/debug`: known by its SHA-256 only, compared in constant time, never shown.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::settings::SecretFile;

/// Shortest token: 16 characters, as `openssl rand -hex 8` prints.
const MIN_CHARS: usize = 16;
/// Longest token: fits a header with room to spare.
const MAX_CHARS: usize = 1024;

/// A token.
pub(crate) struct Token([u8; 32]);

impl Token {
    /// The token in a file.
    pub(crate) fn of(file: &SecretFile) -> Result<Self, String> {
        let bytes = file.secret().expose();
        if !(MIN_CHARS..=MAX_CHARS).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(format!(
                "the token must have {MIN_CHARS} to {MAX_CHARS} visible ASCII characters, without spaces: openssl rand -hex 32 > FILE"
            ));
        }
        Ok(Self(Sha256::digest(bytes).into()))
    }

    /// Whether `given` is this token. The time that this takes does not depend on this token.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}
