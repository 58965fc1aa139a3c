//! Verifies tokens: signature, times, audience and issuer, and reads what they say about the client.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use wsmesh_adapter::ClientId;

use super::error::AuthError;
use super::jwks::Jwks;
use super::keys::{Key, KeySet};
use super::permissions::{Grant, Lists, Permissions};
use super::settings::AuthSettings;

/// Who a client has proved to be, until when it may stay, and what it may do.
#[derive(Clone)]
pub(crate) struct Proof {
    pub(crate) client: ClientId,
    pub(crate) grant: Grant,
    /// The claims of its token, as a JSON object; none without a token. Never shown.
    pub(crate) claims: Option<Box<RawValue>>,
    /// What the connect hook attached to the connection. Never shown.
    pub(crate) data: Option<Box<RawValue>>,
}

impl Proof {
    /// For a client that needs no credential: without limits.
    pub(crate) fn of_anyone(client: ClientId) -> Self {
        Self {
            client,
            grant: Grant::default(),
            claims: None,
            data: None,
        }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("client", &self.client)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

/// Verifies tokens with the keys of a file, of a JWKS, or of both.
#[derive(Debug)]
pub(crate) struct Verifier {
    file: KeySet,
    jwks: Option<Jwks>,
    id_claim: String,
    rooms_claim: String,
    events_claim: String,
    publish_claim: String,
    leeway: Duration,
    /// Without an algorithm: each key brings its own.
    validation: Validation,
}

impl Verifier {
    /// None if no key is configured. The error says what to do.
    pub(crate) fn new(settings: &AuthSettings, jwks: Option<Jwks>) -> Result<Option<Self>, String> {
        if settings.jwt_key.is_none() && jwks.is_none() {
            return Ok(None);
        }
        let file = settings.jwt_key.as_ref().map(KeySet::from_file).transpose()?;
        Ok(Some(Self {
            file: file.unwrap_or_default(),
            jwks,
            id_claim: settings.id_claim.clone(),
            rooms_claim: settings.rooms_claim.clone(),
            events_claim: settings.events_claim.clone(),
            publish_claim: settings.publish_claim.clone(),
            leeway: settings.leeway,
            validation: validation(settings),
        }))
    }

    /// The keys that are fetched, if there are some.
    pub(crate) fn jwks(&self) -> Option<&Jwks> {
        self.jwks.as_ref()
    }

    /// Verifies a token. Waits for newer keys if it names one that is not known, and they may be fetched now.
    pub(crate) async fn verify(&self, token: &str) -> Result<Proof, AuthError> {
        let verified = self.verify_now(token);
        match (&verified, &self.jwks) {
            (Err(AuthError::UnknownKey), Some(jwks)) if jwks.fetched_again().await => self.verify_now(token),
            _ => verified,
        }
    }

    /// Verifies a token with the keys that there are now.
    pub(crate) fn verify_now(&self, token: &str) -> Result<Proof, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::BadToken)?;
        // RFC 7515, section 4.1.11: a critical header that is not understood must not be accepted.
        if header.crit.is_some() {
            return Err(AuthError::BadToken);
        }
        let fetched = self.jwks.as_ref().and_then(Jwks::keys);
        let sets = [Some(&self.file), fetched.as_deref()];
        for key in sets
            .into_iter()
            .flatten()
            .flat_map(|set| set.candidates(header.alg, header.kid.as_deref()))
        {
            match self.verify_with(token, key) {
                Ok(proof) => return Ok(proof),
                // It is signed with this key, so no other key can accept it.
                Err(error) if error != AuthError::BadToken => return Err(error),
                Err(_) => {}
            }
        }
        Err(self.unsigned(&header, fetched.as_deref()))
    }

    /// The error for a token that no key has signed.
    fn unsigned(&self, header: &Header, fetched: Option<&KeySet>) -> AuthError {
        match fetched {
            _ if self.jwks.is_none() || header.alg == Algorithm::HS256 => AuthError::BadToken,
            None => AuthError::NoKeysYet,
            Some(keys) if keys.candidates(header.alg, header.kid.as_deref()).next().is_some() => AuthError::BadToken,
            Some(_) => AuthError::UnknownKey,
        }
    }

    fn verify_with(&self, token: &str, key: &Key) -> Result<Proof, AuthError> {
        let mut validation = self.validation.clone();
        validation.algorithms = vec![key.algorithm];
        let decode = |validation: &Validation| {
            let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, validation);
            decoded.map(|token| token.claims).map_err(auth_error)
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
        self.proof(&claims)
    }

    fn proof(&self, claims: &Map<String, Value>) -> Result<Proof, AuthError> {
        let client = match claims.get(&self.id_claim) {
            Some(Value::String(id)) => ClientId::new(id)?,
            Some(Value::Number(id)) if !id.is_f64() => ClientId::new(id.to_string())?,
            _ => {
                return Err(AuthError::BadClaims(format!(
                    "the claim `{}` with the client's id",
                    self.id_claim
                )));
            }
        };
        Ok(Proof {
            client,
            grant: Grant {
                expires: claims
                    .get("exp")
                    .and_then(Value::as_f64)
                    .and_then(|exp| self.moment(exp)),
                permissions: Permissions::read(Lists {
                    rooms: claims.get(&self.rooms_claim),
                    events: claims.get(&self.events_claim),
                    publish: claims.get(&self.publish_claim),
                })?,
                overrides: None,
            },
            // It was read from JSON.
            claims: serde_json::value::to_raw_value(claims).ok(),
            data: None,
        })
    }

    /// When a token with this `exp` expires here. None if that is beyond the range of clocks.
    fn moment(&self, exp: f64) -> Option<Instant> {
        let since_epoch = Duration::try_from_secs_f64(exp).ok()?.checked_add(self.leeway)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Instant::now().checked_add(since_epoch.saturating_sub(now))
    }
}

fn validation(settings: &AuthSettings) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = settings.leeway.as_secs();
    validation.validate_nbf = true;
    validation.validate_aud = !settings.audiences.is_empty();
    let mut required = vec!["exp"];
    if !settings.audiences.is_empty() {
        validation.set_audience(&settings.audiences);
        required.push("aud");
    }
    if !settings.issuers.is_empty() {
        validation.set_issuer(&settings.issuers);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

fn auth_error(error: jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        ErrorKind::ExpiredSignature => AuthError::Expired,
        ErrorKind::ImmatureSignature => AuthError::NotYet,
        ErrorKind::InvalidAudience => AuthError::WrongAudience,
        ErrorKind::InvalidIssuer => AuthError::WrongIssuer,
        ErrorKind::MissingRequiredClaim(claim) => AuthError::BadClaims(format!("the claim `{claim}`")),
        ErrorKind::InvalidClaimFormat(claim) => unusable(claim),
        _ => AuthError::BadToken,
    }
}

fn unusable(claim: &str) -> AuthError {
    AuthError::BadClaims(format!("a usable claim `{claim}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_claims() {
        let claims = serde_json::value::to_raw_value(&serde_json::json!({"email": "ann@example.org"}));
        let proof = Proof {
            claims: claims.ok(),
            ..Proof::of_anyone(ClientId::new("ann").expect("valid"))
        };
        let text = format!("{proof:?}");
        assert!(text.contains("ann") && !text.contains("example.org"), "{text}");
    }
}
