//! The bearer tokens of the API: checked, known by their SHA-256 only, compared in constant time, never shown.
//!
//! A fast hash is enough: a token that `admin token` makes has 256 random bits, so nobody finds it by trying, however fast; a slow
//! hash, as for passwords, would only help whoever wants to keep this server busy.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Shortest token: 16 characters, as `openssl rand -hex 8` prints.
pub const MIN_TOKEN_CHARS: usize = 16;
/// Longest token: fits a header with room to spare.
pub const MAX_TOKEN_CHARS: usize = 1024;
/// Random bytes of a token that is made here.
const RANDOM_BYTES: usize = 32;

/// A secret that callers of the API send as `Authorization: Bearer TOKEN`. Only its SHA-256 is kept.
#[derive(Clone)]
pub struct Token(Digest);

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

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
        Ok(Self(Digest::of(text)))
    }

    /// Whether `given` is this token. The time that this takes does not depend on this token.
    pub fn matches(&self, given: &str) -> bool {
        self.0.is(&Digest::of(given))
    }

    /// What it is known by.
    pub(super) fn digest(&self) -> Digest {
        self.0
    }
}

impl Digest {
    /// The SHA-256 of a token.
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether they are the same, in constant time.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Reads 64 hexadecimal digits.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect();
        (digits.len() == 64).then_some(())?;
        bytes.try_into().ok().map(Self)
    }
}

/// As hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(***)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// A new random token.
pub(super) fn random() -> String {
    let bytes: [u8; RANDOM_BYTES] = rand::random();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
    digits.collect()
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
        assert!(!format!("{:?}", token.digest()).contains("01"));
    }

    #[test]
    fn a_digest_is_read_as_sha256sum_prints_it() {
        let digest = Digest::of("abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), hex);
        assert_eq!(Digest::from_hex(hex), Some(digest));
        assert_eq!(Digest::from_hex(&hex.to_uppercase()), Some(digest));
        for wrong in ["", "ba", &hex[1..], &format!("{hex}0"), &hex.replace('b', "x"), "ä"] {
            assert_eq!(Digest::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn random_tokens_differ_and_are_valid() {
        let (one, two) = (random(), random());
        assert_eq!((one.len(), one == two), (64, false));
        assert!(Token::new(&one).is_ok());
    }
}
