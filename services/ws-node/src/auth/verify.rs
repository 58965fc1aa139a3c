//! Who a verified token says that a client is, and what it may do.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use wsmesh_adapter::ClientId;
use wsmesh_tokens::{Claims, Expected, Jwks, KeyFile, KeySet, expiry};

use super::error::AuthError;
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
    tokens: wsmesh_tokens::Verifier,
    id_claim: String,
    rooms_claim: String,
    events_claim: String,
    publish_claim: String,
    leeway: Duration,
}

impl Verifier {
    /// None if no key is configured. The error says what to do.
    pub(crate) fn new(settings: &AuthSettings, jwks: Option<Jwks>) -> Result<Option<Self>, String> {
        if settings.jwt_key.is_none() && jwks.is_none() {
            return Ok(None);
        }
        let keys = |file| KeyFile::start(file, KeySet::from_file, settings.key_overlap);
        let file = settings.jwt_key.as_ref().map(keys).transpose()?;
        let expected = Expected {
            audiences: settings.audiences.clone(),
            issuers: settings.issuers.clone(),
            leeway: settings.leeway,
        };
        Ok(Some(Self {
            tokens: wsmesh_tokens::Verifier::new(file.unwrap_or_default(), jwks, &expected),
            id_claim: settings.id_claim.clone(),
            rooms_claim: settings.rooms_claim.clone(),
            events_claim: settings.events_claim.clone(),
            publish_claim: settings.publish_claim.clone(),
            leeway: settings.leeway,
        }))
    }

    /// The keys that are fetched, if there are some.
    pub(crate) fn jwks(&self) -> Option<&Jwks> {
        self.tokens.jwks()
    }

    /// Verifies a token. Waits for newer keys if it names one that is not known, and they may be fetched now.
    pub(crate) async fn verify(&self, token: &str) -> Result<Proof, AuthError> {
        self.proof(&self.tokens.verify(token).await?)
    }

    /// Verifies a token with the keys that there are now.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn verify_now(&self, token: &str) -> Result<Proof, AuthError> {
        self.proof(&self.tokens.verify_now(token)?)
    }

    fn proof(&self, claims: &Claims) -> Result<Proof, AuthError> {
        let client = match claims.get(&self.id_claim) {
            Some(Value::String(id)) => ClientId::new(id)?,
            Some(Value::Number(id)) if !id.is_f64() => ClientId::new(id.to_string())?,
            _ => {
                let lacks = format!("the claim `{}` with the client's id", self.id_claim);
                return Err(AuthError::bad_claims(lacks));
            }
        };
        Ok(Proof {
            client,
            grant: Grant {
                expires: expiry(claims, self.leeway),
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
