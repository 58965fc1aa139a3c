//! Why a token is not accepted, in words that say what to do. No text holds a token or a part of one.

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Its time is over.
    #[error("the token has expired: get a new one")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet (nbf): wait, or correct the clock of the server that signs tokens")]
    NotYet,
    /// It is for somebody else.
    #[error("the token is for another audience: its `aud` is not one that this server accepts")]
    WrongAudience,
    /// It is from somebody else.
    #[error("the token is from another issuer: its `iss` is not one that this server trusts")]
    WrongIssuer,
    /// A claim is missing or cannot be read.
    #[error("the token lacks what is needed here: {0}")]
    BadClaims(String),
    /// It is no token, or no key of this server has signed it.
    #[error("the token is not valid here: it must be a JWT signed with a key of this cluster, with `exp`")]
    BadToken,
    /// The keys that were fetched do not have the one that it names.
    #[error("the token's key (`kid`) is not known here: sign with a current key")]
    UnknownKey,
    /// Keys were never fetched.
    #[error("the keys that tokens are verified with could not be fetched yet: try again")]
    NoKeysYet,
}

impl VerifyError {
    /// The label in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::WrongAudience => "audience",
            Self::WrongIssuer => "issuer",
            Self::BadClaims(_) => "claims",
            Self::BadToken => "bad_token",
            Self::UnknownKey => "unknown_key",
            Self::NoKeysYet => "no_keys",
        }
    }
}
