//! Signatures of what is sent to backends: Standard Webhooks, symmetric (HMAC-SHA256).
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
//!
//! With hmac and sha2, which jsonwebtoken brings along: the crate of Standard Webhooks itself copies each payload, and adds
//! a second HMAC, SHA-256 and base64 to the program. `tests/backends/conformance` checks it against their library.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use hyper::header::{HeaderMap, HeaderValue};
use sha2::Sha256;
use wsmesh_bootstrap::Secret;

use super::event::{encode, put};

/// What secrets begin with.
const PREFIX: &str = "whsec_";

/// Shortest and longest key, in bytes, as the specification has it.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The keys that sign. Several are in use while one replaces another: each signs.
#[derive(Clone)]
pub(super) struct SigningKeys(Vec<Hmac<Sha256>>);

impl SigningKeys {
    /// Reads `whsec_…`, one or several with spaces or line ends between. The error says what to write.
    pub(super) fn read(secret: &Secret) -> Result<Self, String> {
        let wrong = || {
            format!(
                "write {PREFIX} and the base64 of {} to {} bytes, for example from: echo \"{PREFIX}$(openssl rand -base64 32)\"",
                KEY_BYTES.start(),
                KEY_BYTES.end()
            )
        };
        let text = secret.expose_text().map_err(|_| wrong())?;
        let key = |text: &str| {
            let bytes = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
            let bytes = Some(bytes).filter(|bytes| KEY_BYTES.contains(&bytes.len()))?;
            Hmac::new_from_slice(&bytes).ok()
        };
        let keys: Option<Vec<_>> = text.split_whitespace().map(key).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self).ok_or_else(wrong)
    }

    /// Adds the headers that sign this body with the keys of these files, sent at this time (seconds since 1970).
    pub(super) fn sign(files: &[Arc<Self>], headers: &mut HeaderMap, id: &str, at: i64, body: &[u8]) {
        let (id, at) = (encode(id), at.to_string());
        let signed = |key: &Hmac<Sha256>| {
            let mut mac = key.clone();
            for part in [id.as_bytes(), b".", at.as_bytes(), b".", body] {
                mac.update(part);
            }
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        let mut signatures: Vec<String> = Vec::new();
        for file in files {
            let of_file: Vec<_> = file.0.iter().map(signed).collect();
            // A key that stayed when another one was added is in the former file, too.
            let new = of_file.into_iter().filter(|signature| !signatures.contains(signature));
            let new: Vec<_> = new.collect();
            signatures.extend(new);
        }
        if let Ok(signatures) = HeaderValue::try_from(signatures.join(" ")) {
            headers.insert("webhook-signature", signatures);
        }
        // Encoded already, which encoding again would change.
        if let Ok(id) = HeaderValue::try_from(&*id) {
            headers.insert("webhook-id", id);
        }
        put(headers, "webhook-timestamp", &at);
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signature(secret: &str) -> String {
        let keys = SigningKeys::read(&Secret::new(secret)).expect("good");
        let mut headers = HeaderMap::new();
        SigningKeys::sign(
            &[Arc::new(keys)],
            &mut headers,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
        headers["webhook-signature"].to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn the_signature_is_that_of_the_reference_libraries() {
        // From their tests.
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(SECRET), expected);
        let both = signature(&format!("{SECRET}\n{SECRET}\n"));
        assert_eq!(both, format!("{expected} {expected}"), "while one replaces another");
    }

    #[test]
    fn a_key_that_was_replaced_signs_too_and_one_that_stayed_signs_once() {
        let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx";
        let signatures = |files: &[&str]| {
            let files = files
                .iter()
                .map(|text| SigningKeys::read(&Secret::new(*text)).expect("good"));
            let mut headers = HeaderMap::new();
            SigningKeys::sign(&files.map(Arc::new).collect::<Vec<_>>(), &mut headers, "id", 1, b"body");
            let signatures = headers["webhook-signature"].to_str().expect("ASCII");
            signatures.split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let (old, new) = (signatures(&[SECRET]), signatures(&[other]));
        assert_eq!(signatures(&[other, SECRET]), [new[0].clone(), old[0].clone()]);
        let added = format!("{other} {SECRET}");
        assert_eq!(signatures(&[&added, SECRET]), [new[0].clone(), old[0].clone()]);
    }

    #[test]
    fn a_secret_that_is_none_is_refused_and_not_repeated() {
        for text in [
            "",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_cret!",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            let problem = SigningKeys::read(&Secret::new(text)).expect_err(text);
            assert!(
                problem.contains("openssl rand") && !problem.contains("cret!"),
                "{problem}"
            );
        }
    }
}
