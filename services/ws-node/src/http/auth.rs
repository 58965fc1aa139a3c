//! Who a client is: by its `id` parameter in the demo profile, by a signed token (JWT, HS256) in production.
//!
//! Decided before the upgrade. Tokens are never logged and never part of an answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, NameError};
use wsmesh_bootstrap::SecretFile;
use wsmesh_protocol::Params;

use crate::settings::EdgeSettings;

/// Clocks of whoever signs and of this server may differ by so many seconds.
const LEEWAY_SECONDS: u64 = 10;

/// RFC 7518, section 3.2: a key for HS256 has at least 256 bits.
const MIN_KEY_BYTES: usize = 32;

/// How clients prove who they are.
pub(crate) enum Auth {
    /// Whoever says so; a token counts if there is a key and a token.
    Open(Option<Key>),
    /// By a token.
    Jwt(Key),
}

/// What production says when nobody could prove who they are.
pub(crate) const NO_AUTH: &str = "the production profile needs authentication: make a key with `openssl rand -base64 48 \
     > jwt.key` and name it with --jwt-key-file (WSMESH_JWT_KEY_FILE), or use --profile demo to try things out without";

/// Why a client was not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("say who you are: add ?id=YOUR-ID to the URL")]
    NoId,
    #[error(transparent)]
    BadId(#[from] NameError),
    #[error("a token is needed: add ?token=JWT to the URL, or send the header Authorization: Bearer JWT")]
    NoToken,
    #[error("the token has expired: get a new one")]
    Expired,
    #[error(
        "the token is not valid here: it must be a JWT signed with this cluster's key (HS256) with `sub` and `exp`"
    )]
    BadToken,
}

impl AuthError {
    /// Whether it is about who somebody is, not about how the request is written.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::NoToken | Self::Expired | Self::BadToken)
    }
}

impl Auth {
    /// What the settings ask for; the error says what to do.
    pub(crate) fn new(settings: &EdgeSettings) -> Result<Self, String> {
        let key = settings.jwt_key.as_ref().map(Key::new).transpose()?;
        match (settings.demo, key) {
            (true, key) => Ok(Self::Open(key)),
            (false, Some(key)) => Ok(Self::Jwt(key)),
            (false, None) => Err(NO_AUTH.to_owned()),
        }
    }

    /// The id of the client that asks to connect.
    pub(crate) fn client(&self, params: &Params, headers: &HeaderMap) -> Result<ClientId, AuthError> {
        match (self, token(params, headers)) {
            (Self::Open(Some(key)) | Self::Jwt(key), Some(token)) => key.verify(token),
            (Self::Open(_), _) => Ok(ClientId::new(params.one("id").ok_or(AuthError::NoId)?)?),
            (Self::Jwt(_), None) => Err(AuthError::NoToken),
        }
    }
}

fn token<'a>(params: &'a Params, headers: &'a HeaderMap) -> Option<&'a str> {
    let bearer = || {
        let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    };
    params.one("token").or_else(bearer)
}

/// Makes a token for a client: what `ws-node token` prints, and what tests use.
///
/// # Errors
/// When the key is too short, or the id is not valid; the message says what to do.
pub fn mint_token(key: &SecretFile, client: &str, ttl: Duration) -> Result<String, String> {
    let client = ClientId::new(client).map_err(|error| error.to_string())?;
    Key::new(key)?.mint(&client, ttl).map_err(|error| error.to_string())
}

/// The key that signs and verifies tokens.
pub(crate) struct Key {
    decoding: DecodingKey,
    encoding: EncodingKey,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
}

impl Key {
    /// Takes the key if it is long enough. The error says what to do.
    pub(crate) fn new(file: &SecretFile) -> Result<Self, String> {
        let secret = file.secret().expose();
        if secret.len() < MIN_KEY_BYTES {
            return Err(format!(
                "the key has {} bytes, HS256 needs at least {MIN_KEY_BYTES}: make one with `openssl rand -base64 48`",
                secret.len()
            ));
        }
        Ok(Self {
            decoding: DecodingKey::from_secret(secret),
            encoding: EncodingKey::from_secret(secret),
        })
    }

    /// Makes a token for a client.
    pub(crate) fn mint(&self, client: &ClientId, ttl: Duration) -> Result<String, jsonwebtoken::errors::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims {
            sub: client.to_string(),
            exp: (now + ttl).as_secs(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
    }

    fn verify(&self, token: &str) -> Result<ClientId, AuthError> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_aud = false;
        match jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation) {
            Ok(token) => Ok(ClientId::new(token.claims.sub)?),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(AuthError::Expired),
            Err(_) => Err(AuthError::BadToken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn file(secret: &[u8]) -> SecretFile {
        SecretFile::from_secret(wsmesh_bootstrap::Secret::new(secret))
    }

    fn key() -> Key {
        Key::new(&file(SECRET)).expect("long enough")
    }

    fn with(query: &str) -> Params {
        Params::parse("/", query, wsmesh_protocol::ParamOptions::default())
    }

    fn id(name: &str) -> ClientId {
        ClientId::new(name).expect("valid")
    }

    #[test]
    fn a_minted_token_is_accepted_in_the_query_and_in_the_header() {
        let token = key().mint(&id("888"), Duration::from_secs(60)).expect("signs");
        let auth = Auth::Jwt(key());
        assert_eq!(
            auth.client(&with(&format!("token={token}&id=7")), &HeaderMap::new()),
            Ok(id("888"))
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            format!("bearer {token}").parse().expect("a header"),
        );
        assert_eq!(auth.client(&Params::default(), &headers), Ok(id("888")));
    }

    #[test]
    fn without_a_good_token_nobody_is_let_in() {
        let auth = Auth::Jwt(key());
        let with_token = |token: &str| auth.client(&with(&format!("token={token}")), &HeaderMap::new());
        assert_eq!(auth.client(&with("id=888"), &HeaderMap::new()), Err(AuthError::NoToken));
        assert_eq!(with_token("nonsense"), Err(AuthError::BadToken));
        let other = Key::new(&file(b"another key, also of 32 or more bytes")).expect("long enough");
        let foreign = other.mint(&id("888"), Duration::from_secs(60)).expect("signs");
        assert_eq!(with_token(&foreign), Err(AuthError::BadToken));
        // {"alg":"none"} . {"sub":"888","exp":9999999999} . no signature
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiI4ODgiLCJleHAiOjk5OTk5OTk5OTl9.";
        assert_eq!(with_token(unsigned), Err(AuthError::BadToken));
    }

    #[test]
    fn an_expired_token_and_one_without_expiry_are_refused() {
        let claims = |claims: serde_json::Value| {
            let token = jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET));
            key().verify(&token.expect("signs"))
        };
        assert_eq!(
            claims(serde_json::json!({"sub": "888", "exp": 1})),
            Err(AuthError::Expired)
        );
        assert_eq!(claims(serde_json::json!({"sub": "888"})), Err(AuthError::BadToken));
        assert_eq!(
            claims(serde_json::json!({"exp": 9_999_999_999_u64})),
            Err(AuthError::BadToken)
        );
    }

    #[test]
    fn the_demo_takes_any_valid_id_and_checks_a_token_if_it_can() {
        let open = Auth::Open(None);
        assert_eq!(open.client(&with("id=888&token=x"), &HeaderMap::new()), Ok(id("888")));
        assert_eq!(open.client(&with(""), &HeaderMap::new()), Err(AuthError::NoId));
        let long = open.client(&with(&format!("id={}", "x".repeat(65))), &HeaderMap::new());
        assert!(matches!(long, Err(AuthError::BadId(_))));
        assert_eq!(
            Auth::Open(Some(key())).client(&with("token=x"), &HeaderMap::new()),
            Err(AuthError::BadToken)
        );
    }

    #[test]
    fn a_short_key_is_refused_with_advice() {
        let problem = Key::new(&file(b"short")).err().expect("too short");
        assert!(
            problem.contains("at least 32") && problem.contains("openssl rand"),
            "{problem}"
        );
    }
}
