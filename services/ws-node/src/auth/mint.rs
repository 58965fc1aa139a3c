//! Makes tokens for trials: `ws-node token` prints them, `ws-node selftest` connects with one, and tests use them.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
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
    let (secret, id) = secret_of(key.secret().expose());
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
    let header = Header {
        kid: id,
        ..Header::new(Algorithm::HS256)
    };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).map_err(|error| error.to_string())
}

/// The secret in a key file, and its id if it has one: the first secret if it is a JWKS.
fn secret_of(bytes: &[u8]) -> (Cow<'_, [u8]>, Option<String>) {
    let Ok(set) = serde_json::from_slice::<JwkSet>(bytes) else {
        return (Cow::Borrowed(bytes), None);
    };
    let secret = set.keys.into_iter().find_map(|key| {
        let AlgorithmParameters::OctetKey(octets) = &key.algorithm else {
            return None;
        };
        let secret = URL_SAFE_NO_PAD.decode(&octets.value).ok()?;
        Some((Cow::Owned(secret), key.common.key_id))
    });
    secret.unwrap_or_default()
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

    #[test]
    fn a_token_is_signed_with_the_first_secret_of_a_jwks_and_accepted_with_it() {
        let secret = r#"{"kty":"oct","kid":"new","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#;
        let other = secret.replace("new", "old").replace("MDEy", "MzEy");
        let public = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let file = |keys: &str| SecretFile::from_secret(Secret::new(format!(r#"{{"keys":[{keys}]}}"#)));
        let several = file(&format!("{public},{secret},{other}"));
        let token = mint_token(&several, "ann", Duration::from_secs(60)).expect("signed");
        for keys in [&several, &file(secret)] {
            let verifier = Verifier::new(KeySet::from_file(keys).expect("keys"), None, &Expected::default());
            verifier.verify_now(&token).expect("accepted");
        }
        let verifier = Verifier::new(
            KeySet::from_file(&file(&other)).expect("a key"),
            None,
            &Expected::default(),
        );
        assert!(verifier.verify_now(&token).is_err());
        let error = mint_token(&file(public), "ann", Duration::from_secs(60)).expect_err("no secret");
        assert!(error.contains("holder of the private key"), "{error}");
    }
}
