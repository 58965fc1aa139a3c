//! The keys that tokens are verified with: from a file (a secret, or public keys in PEM) or from a JWKS (RFC 7517).
//!
//! The kind of a key fixes its algorithm: a token's header chooses among keys, never how a key is used. Keys that are not safe
//! (short RSA keys, other curves, secrets in a JWKS) are rejected.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use spki::der::DecodePem;
use wsmesh_bootstrap::SecretFile;

/// RFC 7518, section 3.2: a key for HS256 has at least 256 bits.
pub const MIN_SECRET_BYTES: usize = 32;

/// RFC 7518, section 3.3: an RSA key has at least 2048 bits. Above 4096 a check costs too much.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// Most keys of one set; identity providers have a handful.
const MOST_KEYS: usize = 64;

/// Most keys that are tried for one token: limits what a bad token costs.
const MOST_TRIED: usize = 4;

/// One key with its one algorithm.
pub(super) struct Key {
    id: Option<Box<str>>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// Keys of one source.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads a key file: a secret, public keys in PEM, or a JWKS with one or several of both.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn from_file(file: &SecretFile) -> Result<Self, String> {
        let bytes = file.secret().expose();
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN ") => Self::from_pem(text),
            Ok(text) if text.trim_start().starts_with('{') => Self::from_secret_jwks(bytes),
            _ => Self::from_secret(bytes),
        }
    }

    /// A JWKS in a file that nobody else can read: it may hold secrets. Each key must be usable.
    fn from_secret_jwks(json: &[u8]) -> Result<Self, String> {
        let keys = jwks_values(json).map_err(|_| "begins like a JWKS, but is none ({\"keys\": […]})".to_owned())?;
        let key = |(index, value): (usize, serde_json::Value)| {
            let jwk = serde_json::from_value(value).map_err(|_| "it is not a JWK");
            let key = jwk.and_then(|jwk: Jwk| match &jwk.algorithm {
                AlgorithmParameters::OctetKey(_) => secret_key(&jwk),
                _ => jwks_key(&jwk),
            });
            key.map_err(|why| format!("key {} of the JWKS cannot be used: {why}", index + 1))
        };
        let keys: Vec<_> = keys.into_iter().enumerate().map(key).collect::<Result<_, _>>()?;
        match keys.is_empty() {
            true => Err("the JWKS has no key".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    fn from_secret(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(format!(
                "the key has {} bytes, HS256 needs at least {MIN_SECRET_BYTES}: make one with `openssl rand -base64 48`",
                secret.len()
            ));
        }
        Ok(Self(vec![Key {
            id: None,
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(secret),
        }]))
    }

    fn from_pem(text: &str) -> Result<Self, String> {
        if text.contains("PRIVATE KEY-----") {
            return Err(
                "holds a private key, which only the signer should have: write the public one with `openssl pkey \
                        -in private.pem -pubout -out public.pem`"
                    .to_owned(),
            );
        }
        let blocks = text.split_inclusive("-----END PUBLIC KEY-----");
        let blocks = blocks.filter(|block| block.contains("-----BEGIN "));
        blocks.map(pem_key).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Reads a JWKS. Keys that cannot be used are left out.
    ///
    /// # Errors
    /// A sentence that says why there is no key at all.
    pub fn from_jwks(json: &[u8]) -> Result<Self, String> {
        let mut keys = Vec::new();
        for value in jwks_values(json)? {
            match serde_json::from_value(value)
                .map_err(|_| "it is not a JWK")
                .and_then(|jwk| jwks_key(&jwk))
            {
                Ok(key) => keys.push(key),
                Err(why) => tracing::debug!(why, "a key of the JWKS is not used"),
            }
        }
        if keys.is_empty() {
            return Err("it has no key for RS256, ES256 or EdDSA".to_owned());
        }
        Ok(Self(keys))
    }

    /// The keys that may have signed a token with this header. A token that names a key gets that one; keys of a file have no
    /// names and fit every token.
    pub(super) fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let fits = move |key: &&Key| {
            key.algorithm == algorithm && (id.is_none() || key.id.is_none() || key.id.as_deref() == id)
        };
        self.0.iter().filter(fits).take(MOST_TRIED)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.algorithm)
    }
}

fn pem_key(block: &str) -> Result<Key, String> {
    let advice = "write public keys as `openssl pkey -pubout` does (-----BEGIN PUBLIC KEY-----)";
    let start = block.find("-----BEGIN ").unwrap_or(0);
    let info = spki::SubjectPublicKeyInfoOwned::from_pem(block[start..].trim_end())
        .map_err(|error| format!("is not a public key in PEM ({error}): {advice}"))?;
    let bits = info.subject_public_key.raw_bytes();
    let (algorithm, decoding) = match info.algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => (Algorithm::RS256, DecodingKey::from_rsa_der(bits)),
        "1.2.840.10045.2.1" => (Algorithm::ES256, DecodingKey::from_ec_der(bits)),
        "1.3.101.112" => (Algorithm::EdDSA, DecodingKey::from_ed_der(bits)),
        _ => return Err("the key is neither RSA, P-256 nor Ed25519".to_owned()),
    };
    let key = Key {
        id: None,
        algorithm,
        decoding,
    };
    key.checked().map_err(str::to_owned)
}

fn jwks_values(json: &[u8]) -> Result<Vec<serde_json::Value>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(json).map_err(|_| "the answer is not a JWKS ({\"keys\": […]})".to_owned())?;
    match set.keys.len() > MOST_KEYS {
        true => Err(format!(
            "it has {} keys: at most {MOST_KEYS} are accepted",
            set.keys.len()
        )),
        false => Ok(set.keys),
    }
}

/// A secret of a JWKS.
fn secret_key(jwk: &Jwk) -> Result<Key, &'static str> {
    let decoding = DecodingKey::from_jwk(jwk).map_err(|_| "its secret is not base64url")?;
    let bytes = decoding.try_get_as_bytes().map_err(|_| "it is no secret")?;
    if bytes.len() < MIN_SECRET_BYTES {
        return Err("a secret for HS256 has at least 32 bytes");
    }
    let named = jwk.common.key_algorithm;
    if named.is_some_and(|named| named != KeyAlgorithm::HS256) {
        return Err("it is for another algorithm");
    }
    Ok(Key {
        id: jwk.common.key_id.as_deref().map(Into::into),
        algorithm: Algorithm::HS256,
        decoding,
    })
}

fn jwks_key(jwk: &Jwk) -> Result<Key, &'static str> {
    if jwk
        .common
        .public_key_use
        .as_ref()
        .is_some_and(|what| *what != PublicKeyUse::Signature)
    {
        return Err("it is not for signatures");
    }
    let operations = jwk.common.key_operations.as_ref();
    if operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return Err("it is not for verifying");
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
        AlgorithmParameters::OctetKey(_) => return Err("a secret that anybody can fetch proves nothing"),
        _ => return Err("its type is not known"),
    };
    if jwk
        .common
        .key_algorithm
        .is_some_and(|named| named != KeyAlgorithm::from(algorithm))
    {
        return Err("it is for another algorithm");
    }
    let key = Key {
        id: jwk.common.key_id.as_deref().map(Into::into),
        algorithm,
        decoding: DecodingKey::from_jwk(jwk).map_err(|_| "its numbers cannot be read")?,
    };
    key.checked()
}

impl Key {
    /// Checks the key's numbers: the library takes them as they are, and some would make it panic later.
    fn checked(self) -> Result<Self, &'static str> {
        let jwk = Jwk::from_decoding_key(&self.decoding, None).map_err(|_| "its numbers are not a valid key")?;
        match &jwk.algorithm {
            // Six bits per character; leading zeros do not count.
            AlgorithmParameters::RSA(rsa) if !RSA_BYTES.contains(&(rsa.n.trim_start_matches('A').len() * 3 / 4)) => {
                return Err("an RSA key needs 2048 to 4096 bits");
            }
            AlgorithmParameters::EllipticCurve(ec) if ec.curve != EllipticCurve::P256 => {
                return Err("of the elliptic curves only P-256 and Ed25519 are known");
            }
            _ => {}
        }
        // Fails if the key is not valid, and not because of the signature.
        let tried = jsonwebtoken::crypto::verify("AAAA", b"", &self.decoding, self.algorithm);
        tried.map(|_| self).map_err(|_| "its numbers are not a valid key")
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::Secret;

    use super::*;

    fn file(text: &str) -> Result<KeySet, String> {
        KeySet::from_file(&SecretFile::from_secret(Secret::new(text)))
    }

    const RSA: &str = include_str!("../tests/keys/rsa.pub.pem");
    const P256: &str = include_str!("../tests/keys/p256.pub.pem");
    const ED25519: &str = include_str!("../tests/keys/ed25519.pub.pem");

    fn algorithms(set: &KeySet) -> Vec<Algorithm> {
        set.0.iter().map(|key| key.algorithm).collect()
    }

    #[test]
    fn the_content_of_a_key_file_decides_the_algorithm() {
        let secret = file("0123456789abcdef0123456789abcdef").expect("long enough");
        assert_eq!(algorithms(&secret), [Algorithm::HS256]);
        let all = file(&format!("old keys:\n{RSA}\n{P256}{ED25519}")).expect("three keys");
        assert_eq!(algorithms(&all), [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]);
    }

    #[test]
    fn a_key_file_may_hold_several_keys_in_a_jwks_and_each_must_be_usable() {
        let secret =
            |id: &str| format!(r#"{{"kty":"oct","kid":"{id}","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}}"#);
        let both = file(&format!(r#"{{"keys":[{},{}]}}"#, secret("new"), secret("old"))).expect("two secrets");
        assert_eq!(algorithms(&both), [Algorithm::HS256, Algorithm::HS256]);
        let found = |id| both.candidates(Algorithm::HS256, id).count();
        assert_eq!((found(None), found(Some("old")), found(Some("other"))), (2, 1, 0));
        for (bad, why) in [
            (r#"{"keys":[]}"#.to_owned(), "no key"),
            (r#"{"keys":7}"#.to_owned(), "begins like a JWKS"),
            (
                r#"{"k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#.to_owned(),
                "begins like a JWKS",
            ),
            (
                format!(r#"{{"keys":[{},{{"kty":"oct","k":"c2hvcnQ"}}]}}"#, secret("a")),
                "key 2",
            ),
            (
                format!(
                    r#"{{"keys":[{}]}}"#,
                    secret("a").replace("\"kid\"", "\"alg\":\"RS256\",\"kid\"")
                ),
                "another algorithm",
            ),
        ] {
            let problem = file(&bad).expect_err(&bad);
            assert!(problem.contains(why) && !problem.contains("MDEy"), "{bad}: {problem}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_rejected_with_advice() {
        let short = file("short").expect_err("too short");
        assert!(
            short.contains("at least 32") && short.contains("openssl rand"),
            "{short}"
        );
        let private = file("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").expect_err("private");
        assert!(private.contains("-pubout"), "{private}");
        for bad in [
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----",
        ] {
            let problem = file(bad).expect_err(bad);
            assert!(problem.contains("openssl pkey -pubout"), "{problem}");
        }
    }

    #[test]
    fn of_a_jwks_only_keys_that_can_verify_are_used() {
        let ed25519 = r#"{"kty":"OKP","crv":"Ed25519","kid":"e","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let jwks = |keys: &str| KeySet::from_jwks(format!(r#"{{"keys":[{keys}]}}"#).as_bytes());
        for bad in [
            "7",
            r#"{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"RSA","n":"!","e":"AQAB"}"#,
            &format!(r#"{{"kty":"RSA","n":"{}AQAB","e":"AQAB"}}"#, "A".repeat(340)),
            r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-521","x":"AAAA","y":"AAAA"}"#,
            &ed25519.replace("\"kid\"", "\"use\":\"enc\",\"kid\""),
            &ed25519.replace("\"kid\"", "\"alg\":\"ES256\",\"kid\""),
            &ed25519.replace("\"kid\"", "\"key_ops\":[\"encrypt\"],\"kid\""),
        ] {
            assert!(jwks(bad).is_err(), "{bad}");
            let beside = jwks(&format!("{bad},{ed25519}")).expect("one key is good");
            assert_eq!(algorithms(&beside), [Algorithm::EdDSA], "{bad}");
        }
        for garbage in ["", "null", "<html>", r#"{"keys":7}"#, r#"{"keys":[]}"#] {
            assert!(KeySet::from_jwks(garbage.as_bytes()).is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_named_key_is_found_by_its_name_and_algorithm() {
        let named =
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"e","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let set = KeySet::from_jwks(named.as_bytes()).expect("a key");
        let found = |algorithm, id| set.candidates(algorithm, id).count();
        assert_eq!(found(Algorithm::EdDSA, Some("e")), 1);
        assert_eq!(found(Algorithm::EdDSA, None), 1);
        assert_eq!(found(Algorithm::EdDSA, Some("other")), 0);
        assert_eq!(found(Algorithm::HS256, Some("e")), 0);
        let unnamed = file(ED25519).expect("a key");
        assert_eq!(unnamed.candidates(Algorithm::EdDSA, Some("any")).count(), 1);
    }
}
