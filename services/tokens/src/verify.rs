//! Verifies tokens: signature, times, audience and issuer.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::{Map, Value};

use crate::error::VerifyError;
use crate::jwks::Jwks;
use crate::key_file::KeyFile;
use crate::keys::{Key, KeySet};

/// What a token says: the members of its JSON object.
pub type Claims = Map<String, Value>;

/// What a token must say to be accepted.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// It must be for one of these (`aud`). Empty: not checked.
    pub audiences: Vec<String>,
    /// It must be from one of these (`iss`). Empty: not checked.
    pub issuers: Vec<String>,
    /// Largest difference between the clocks of the issuer and of this server.
    pub leeway: Duration,
}

/// Verifies tokens with the keys of a file, of a JWKS, or of both.
#[derive(Debug)]
pub struct Verifier {
    file: KeyFile,
    jwks: Option<Jwks>,
    /// Without an algorithm: each key brings its own.
    validation: Validation,
}

impl Verifier {
    /// With these keys. Without any, no token is accepted.
    pub fn new(file: impl Into<KeyFile>, jwks: Option<Jwks>, expected: &Expected) -> Self {
        Self {
            file: file.into(),
            jwks,
            validation: validation(expected),
        }
    }

    /// The keys that are fetched, if there are some.
    pub fn jwks(&self) -> Option<&Jwks> {
        self.jwks.as_ref()
    }

    /// Verifies a token. Waits for newer keys if it names one that is not known, and they may be fetched now.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let verified = self.verify_now(token);
        match (&verified, &self.jwks) {
            (Err(VerifyError::UnknownKey), Some(jwks)) if jwks.fetched_again().await => self.verify_now(token),
            _ => verified,
        }
    }

    /// Verifies a token with the keys that there are now.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn verify_now(&self, token: &str) -> Result<Claims, VerifyError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| VerifyError::BadToken)?;
        // RFC 7515, section 4.1.11: a critical header that is not understood must not be accepted.
        if header.crit.is_some() {
            return Err(VerifyError::BadToken);
        }
        let fetched = self.jwks.as_ref().and_then(Jwks::keys);
        let of_file = self.file.in_force();
        for key in of_file
            .iter()
            .map(AsRef::as_ref)
            .chain(fetched.as_deref())
            .flat_map(|set| set.candidates(header.alg, header.kid.as_deref()))
        {
            match self.verify_with(token, key) {
                Ok(claims) => return Ok(claims),
                // It is signed with this key, so no other key can accept it.
                Err(error) if error != VerifyError::BadToken => return Err(error),
                Err(_) => {}
            }
        }
        Err(self.unsigned(&header, fetched.as_deref()))
    }

    /// The error for a token that no key has signed.
    fn unsigned(&self, header: &Header, fetched: Option<&KeySet>) -> VerifyError {
        match fetched {
            _ if self.jwks.is_none() || header.alg == Algorithm::HS256 => VerifyError::BadToken,
            None => VerifyError::NoKeysYet,
            Some(keys) if keys.candidates(header.alg, header.kid.as_deref()).next().is_some() => VerifyError::BadToken,
            Some(_) => VerifyError::UnknownKey,
        }
    }

    fn verify_with(&self, token: &str, key: &Key) -> Result<Claims, VerifyError> {
        let mut validation = self.validation.clone();
        validation.algorithms = vec![key.algorithm];
        let decode = |validation: &Validation| {
            let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, validation);
            decoded.map(|token| token.claims).map_err(verify_error)
        };
        let claims = match decode(&validation) {
            // A null counts as missing; the library takes it for a number that cannot be read.
            Err(error) if error == unusable("nbf") => {
                validation.validate_nbf = false;
                let claims = decode(&validation)?;
                if !claims.get("nbf").is_none_or(Value::is_null) {
                    return Err(error);
                }
                claims
            }
            decoded => decoded?,
        };
        Ok(claims)
    }
}

/// When a token with these claims expires here. None if it does not say, or that is beyond the range of clocks.
pub fn expiry(claims: &Claims, leeway: Duration) -> Option<Instant> {
    let exp = claims.get("exp").and_then(Value::as_f64)?;
    let since_epoch = Duration::try_from_secs_f64(exp).ok()?.checked_add(leeway)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now().checked_add(since_epoch.saturating_sub(now))
}

fn validation(expected: &Expected) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = expected.leeway.as_secs();
    validation.validate_nbf = true;
    validation.validate_aud = !expected.audiences.is_empty();
    let mut required = vec!["exp"];
    if !expected.audiences.is_empty() {
        validation.set_audience(&expected.audiences);
        required.push("aud");
    }
    if !expected.issuers.is_empty() {
        validation.set_issuer(&expected.issuers);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

fn verify_error(error: jsonwebtoken::errors::Error) -> VerifyError {
    match error.kind() {
        ErrorKind::ExpiredSignature => VerifyError::Expired,
        ErrorKind::ImmatureSignature => VerifyError::NotYet,
        ErrorKind::InvalidAudience => VerifyError::WrongAudience,
        ErrorKind::InvalidIssuer => VerifyError::WrongIssuer,
        ErrorKind::MissingRequiredClaim(claim) => VerifyError::BadClaims(format!("the claim `{claim}`")),
        ErrorKind::InvalidClaimFormat(claim) => unusable(claim),
        _ => VerifyError::BadToken,
    }
}

fn unusable(claim: &str) -> VerifyError {
    VerifyError::BadClaims(format!("a usable claim `{claim}`"))
}
