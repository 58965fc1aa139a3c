//! Makes tokens for trials: `ws-node token` prints them, and tests use them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use wsmesh_adapter::ClientId;
use wsmesh_bootstrap::SecretFile;
use wsmesh_tokens::MIN_SECRET_BYTES;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
}

/// Makes a token (JWT, HS256) for a client.
///
/// # Errors
/// When the key is too short or no secret, or the id is not valid; the message says what to do.
pub fn mint_token(key: &SecretFile, client: &str, ttl: Duration) -> Result<String, String> {
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
    let claims = Claims {
        sub: client.as_str(),
        exp: (now + ttl).as_secs(),
    };
    let key = EncodingKey::from_secret(secret);
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|error| error.to_string())
}
