//! The bearer token of the API: read from a file, compared in constant time, never shown.
//! What it guards is decided in `api`; what is right without one is decided in `config`.

use std::fmt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

/// Shortest token that is taken: 16 characters, as many as `openssl rand -hex 8` gives.
pub const MIN_TOKEN_CHARS: usize = 16;
/// Longest token that is taken: what fits a header with room to spare.
pub const MAX_TOKEN_CHARS: usize = 1024;

/// A secret that callers of the API send as `Authorization: Bearer TOKEN`.
#[derive(Clone)]
pub struct Token(String);

/// Why a token was refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the token file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too short to be a secret, or too long for a header.
    #[error(
        "the token has {0} characters: {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} are needed (openssl rand -hex 32 > FILE)"
    )]
    Length(usize),
    /// It holds something that a header cannot carry.
    #[error("the token may hold visible ASCII characters only, on one line, without spaces")]
    Characters,
}

impl Token {
    /// Reads a token from a file; white space around it is no part of it.
    ///
    /// # Errors
    /// When the file cannot be read, or as [`Token::new`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text = std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::new(text.trim())
    }

    /// Checks and takes a token.
    ///
    /// # Errors
    /// When it is too short, too long, or holds anything but visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        if !(MIN_TOKEN_CHARS..=MAX_TOKEN_CHARS).contains(&text.len()) {
            return Err(TokenError::Length(text.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether `given` is this token. The time taken tells nothing but whether the lengths are equal.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_matches() {
        let token = Token::new("0123456789abcdef").expect("a good token");
        assert!(token.matches("0123456789abcdef"));
        assert!(!token.matches("0123456789abcdeF"));
        assert!(!token.matches("0123456789abcdef0"));
        assert!(!token.matches(""));
    }

    #[test]
    fn short_long_and_unprintable_tokens_are_refused() {
        assert!(matches!(Token::new("short"), Err(TokenError::Length(5))));
        assert!(matches!(Token::new(&"x".repeat(1025)), Err(TokenError::Length(1025))));
        assert!(matches!(Token::new("0123456789 abcdef"), Err(TokenError::Characters)));
        assert!(matches!(Token::new("0123456789äbcdefgh"), Err(TokenError::Characters)));
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new("0123456789abcdef").expect("a good token");
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn a_file_gives_its_token_without_the_line_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").expect("written");
        assert!(Token::read(&path).expect("read").matches("0123456789abcdef"));
        let missing = Token::read(&dir.path().join("none")).expect_err("no file");
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
