//! Makes tokens for trials: `ws-node token` prints them, `ws-node selftest` connects with one, and tests use them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};
use wsmesh_adapter::ClientId;
use wsmesh_bootstrap::SecretFile;
use wsmesh_tokens::MIN_SECRET_BYTES;

use super::settings::AuthSettings;

/// Makes a token (JWT, HS256) for a client.
///
/// # Errors
/// When the key is too short or no secret, or the id is not valid; the message says what to do.
pub fn mint_token(key: &SecretFile, client: &str, ttl: Duration) -> Result<String, String> {
    mint(key, "sub", Map::new(), client, ttl)
}

impl AuthSettings {
    /// Makes a token that a ws-node with these settings accepts: signed with their key, for their first audience, by their first
    /// issuer.
    ///
    /// # Errors
    /// When there is no key, it is too short or no secret, or the id is not valid; the message says what to do.
    pub(crate) fn mint(&self, client: &str, ttl: Duration) -> Result<String, String> {
        let key = self.jwt_key.as_ref();
        let key = key.ok_or("name the key that signs tokens with --jwt-key-file")?;
        let named = [("aud", self.audiences.first()), ("iss", self.issuers.first())];
        let claims = named.into_iter().filter_map(|(claim, value)| Some((claim, value?)));
        let claims = claims.map(|(claim, value)| (claim.to_owned(), value.as_str().into()));
        mint(key, &self.id_claim, claims.collect(), client, ttl)
    }
}

fn mint(
    key: &SecretFile,
    id_claim: &str,
    mut claims: Map<String, Value>,
    client: &str,
    ttl: Duration,
) -> Result<String, String> {
    let client = ClientId::new(client).map_err(|error| error.to_string())?;
    let secret = key.secret().expose();
    if secret.len() < MIN_SECRET_BYTES || secret.starts_with(b"-----BEGIN ") {
        return Err(
            "a token is signed with a secret of at least 32 bytes: make one with `openssl rand -base64 48`; with \
                    public keys, tokens come from the holder of the private key"
                .to_owned(),
        );
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    claims.insert("exp".to_owned(), (now + ttl).as_secs().into());
    claims.insert(id_claim.to_owned(), client.as_str().into());
    let key = EncodingKey::from_secret(secret);
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::Secret;
    use wsmesh_tokens::{Expected, KeySet, Verifier};

    use super::*;

    #[test]
    fn a_token_is_what_these_settings_expect() {
        let key = SecretFile::from_secret(Secret::new("0123456789abcdef0123456789abcdef"));
        let settings = AuthSettings {
            jwt_key: Some(key.clone()),
            audiences: vec!["chat".to_owned(), "other".to_owned()],
            issuers: vec!["me".to_owned()],
            id_claim: "user".to_owned(),
            ..AuthSettings::default()
        };
        let expected = Expected {
            audiences: settings.audiences.clone(),
            issuers: settings.issuers.clone(),
            leeway: Duration::ZERO,
        };
        let verifier = Verifier::new(KeySet::from_file(&key).expect("a key"), None, &expected);
        let token = settings.mint("ann", Duration::from_secs(60)).expect("a token");
        let claims = verifier.verify_now(&token).expect("accepted");
        assert_eq!(claims["user"], "ann");
        let plain = mint_token(&key, "ann", Duration::from_secs(60)).expect("a token");
        assert!(verifier.verify_now(&plain).is_err(), "for no audience");
    }

    #[test]
    fn without_a_key_or_with_a_wrong_id_there_is_no_token() {
        let minted = AuthSettings::default().mint("ann", Duration::from_secs(60));
        assert!(minted.is_err_and(|problem| problem.contains("--jwt-key-file")));
        let key = Some(SecretFile::from_secret(Secret::new("0123456789abcdef0123456789abcdef")));
        let settings = AuthSettings {
            jwt_key: key,
            ..AuthSettings::default()
        };
        assert!(settings.mint("", Duration::from_secs(60)).is_err());
    }
}
