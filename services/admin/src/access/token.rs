//! The bearer token of the API: checked, compared in constant time, never shown.
//! `api` decides what it guards, `config` whether one is needed.

use std::fmt;

use subtle::ConstantTimeEq;

/// Shortest token: 16 characters, as `openssl rand -hex 8` prints.
pub const MIN_TOKEN_CHARS: usize = 16;
/// Longest token: fits a header with room to spare.
pub const MAX_TOKEN_CHARS: usize = 1024;

/// A secret that callers of the API send as `Authorization: Bearer TOKEN`.
#[derive(Clone)]
pub struct Token(String);

/// Why a token is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is too short to be a secret, or too long for a header.
    #[error(
        "the token has {0} characters: {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} are needed (openssl rand -hex 32 > FILE)"
    )]
    Length(usize),
    /// It contains something that a header cannot carry.
    #[error("the token may contain only visible ASCII characters, on one line, without spaces")]
    Characters,
}

impl Token {
    /// Checks a token.
    ///
    /// # Errors
    /// If it is too short, too long, or contains anything but visible ASCII characters.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        if !(MIN_TOKEN_CHARS..=MAX_TOKEN_CHARS).contains(&text.len()) {
            return Err(TokenError::Length(text.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether `given` is this token. The time that this takes reveals only whether the lengths are equal.
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
    fn short_long_and_unprintable_tokens_are_rejected() {
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
}
