//! What fuzzers reach through `http::fuzzing`. Not part of the interface.

use serde_json::Value;
use wsmesh_bootstrap::{Secret, SecretFile};
use wsmesh_tokens::KeySet;

use super::origins::Origins;
use super::permissions::{Lists, Permissions};
use super::settings::AuthSettings;
use super::verify::Verifier;

/// The key of no token that a fuzzer finds.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Checks origins against a list with a wildcard.
pub(crate) fn named_origins<'a>(named: impl Iterator<Item = Option<&'a str>>) {
    let origins = Origins::new(&["https://*.example.org".to_owned()]);
    let _ = origins.map(|origins| origins.check(named));
}

/// Reads bytes as a JWKS, and as the claims of a token.
pub(crate) fn keys_and_claims(bytes: &[u8]) {
    let _ = KeySet::from_jwks(bytes);
    if let Ok(claims) = serde_json::from_slice::<Value>(bytes) {
        let _ = Permissions::read(Lists {
            rooms: claims.get("rooms"),
            events: claims.get("events"),
            publish: claims.get("publish"),
        });
    }
}

/// Verifies a token that nobody has signed.
///
/// # Panics
/// When it is accepted, which is a bug.
pub(crate) fn forged_token(token: &str) {
    let settings = AuthSettings {
        jwt_key: Some(SecretFile::from_secret(Secret::new(SECRET))),
        ..AuthSettings::default()
    };
    if let Ok(Some(verifier)) = Verifier::new(&settings, None) {
        assert!(verifier.verify_now(token).is_err(), "let in: {token}");
    }
}
