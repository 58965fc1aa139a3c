//! Callers with a token of an identity provider (JWT): the verifier proves it, a claim says which role its caller has.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wsmesh_tokens::{Claims, Jwks, JwksSource, KeyFile, Verifier, VerifyError, expiry};

use super::caller::{Caller, is_short_line};
use super::role::Role;
use super::settings::{AccessSettings, public_keys};

/// How often keys are fetched anew.
const REFRESH: Duration = Duration::from_secs(600);
/// Longest subject of a token that becomes a caller's name.
const MAX_SUBJECT_CHARS: usize = 128;
/// Most values of the claim that are looked at.
const MAX_VALUES: usize = 1_000;

/// Verifies tokens of an identity provider.
#[derive(Debug)]
pub(super) struct Signed {
    verifier: Verifier,
    claim: String,
    meanings: Vec<(String, (Role, bool))>,
    leeway: Duration,
}

impl Signed {
    /// None without keys. Starts to fetch them if the settings name a URL.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(super) fn start(settings: &AccessSettings) -> Result<Option<Self>, String> {
        if !settings.has_provider() {
            return Ok(None);
        }
        let url = settings.oidc_jwks_url.clone();
        let source = |url| JwksSource {
            url,
            refresh: REFRESH,
            setting: "--oidc-jwks-url",
            without_keys: "until then tokens that these keys sign are rejected",
        };
        let jwks = url.map(|url| Jwks::start(source(url), |_| ())).transpose()?;
        // A key that was taken out of the file counts no more: providers publish several while they replace one.
        let keys = |file| KeyFile::start(file, public_keys, Duration::ZERO);
        let file = settings.oidc_jwks_file.as_ref().map(keys).transpose()?;
        Ok(Some(Self {
            verifier: Verifier::new(file.unwrap_or_default(), jwks, &settings.expected()),
            claim: settings.role_claim.clone(),
            meanings: settings.meanings(),
            leeway: settings.oidc_leeway,
        }))
    }

    /// The caller with this token.
    pub(super) async fn caller(&self, token: &str) -> Result<Caller, VerifyError> {
        let claims = self.verifier.verify(token).await?;
        let (role, clients) = self.role(&claims)?;
        let until = expiry(&claims, self.leeway).map(Instant::from_std);
        let caller = Caller::new(format!("oidc:{}", subject(&claims)?), role, CancellationToken::new());
        Ok(caller.with_clients(clients).until(until))
    }

    /// The highest role that the claim gives.
    fn role(&self, claims: &Claims) -> Result<(Role, bool), VerifyError> {
        let lacks = || VerifyError::BadClaims(format!("the claim `{}` with a role that is known here", self.claim));
        let mut value = claims.get(&self.claim);
        if value.is_none() {
            let mut path = self.claim.split('.');
            let first = path.next().and_then(|name| claims.get(name));
            value = path.fold(first, |object, name| object?.get(name));
        }
        let values = match value {
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => return Err(lacks()),
        };
        let texts = values.iter().take(MAX_VALUES).filter_map(Value::as_str);
        let meant = texts.flat_map(|text| self.meanings.iter().filter(move |(value, _)| value == text));
        meant.map(|(_, role)| *role).max().ok_or_else(lacks)
    }

    /// Ends the task that fetches keys.
    pub(super) async fn stop(&self) {
        if let Some(jwks) = self.verifier.jwks() {
            jwks.stop().await;
        }
    }
}

/// Who the token is about: goes into records and logs, so it is one short line.
fn subject(claims: &Claims) -> Result<&str, VerifyError> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    match is_short_line(subject, MAX_SUBJECT_CHARS) {
        true => Ok(subject),
        false => Err(VerifyError::BadClaims(format!(
            "a claim `sub` of 1 to {MAX_SUBJECT_CHARS} characters"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signed(claim: &str, roles: &[&str]) -> Signed {
        let settings = AccessSettings {
            role_claim: claim.to_owned(),
            oidc_roles: roles.iter().map(ToString::to_string).collect(),
            ..AccessSettings::default()
        };
        Signed {
            verifier: Verifier::new(KeyFile::default(), None, &settings.expected()),
            claim: claim.to_owned(),
            meanings: settings.meanings(),
            leeway: settings.oidc_leeway,
        }
    }

    fn role(signed: &Signed, claims: Value) -> Option<(Role, bool)> {
        signed.role(claims.as_object().expect("an object")).ok()
    }

    #[test]
    fn the_highest_role_of_the_claim_counts_and_unknown_values_give_none() {
        let plain = signed("role", &[]);
        assert_eq!(role(&plain, json!({"role": "viewer"})), Some((Role::Viewer, false)));
        let several = json!({"role": ["x", "publisher", "viewer", 7, null]});
        assert_eq!(role(&plain, several), Some((Role::Publisher, false)));
        for none in [
            json!({}),
            json!({"role": "king"}),
            json!({"role": 1}),
            json!({"role": []}),
            json!({"role": {"operator": 1}}),
        ] {
            assert_eq!(role(&plain, none.clone()), None, "{none}");
        }
        let mapped = signed("realm_access.roles", &["ops=operator", "shop=publisher+clients"]);
        assert_eq!(
            role(&mapped, json!({"realm_access": {"roles": ["shop"]}})),
            Some((Role::Publisher, true))
        );
        assert_eq!(
            role(&mapped, json!({"realm_access.roles": "ops"})),
            Some((Role::Operator, false))
        );
        // The names of roles mean nothing once other values do.
        assert_eq!(role(&mapped, json!({"realm_access": {"roles": ["operator"]}})), None);
        assert_eq!(role(&mapped, json!({"realm_access": "ops"})), None);
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// Verifies tokens that [`token`] signs.
    fn verifying() -> Signed {
        let settings = AccessSettings {
            oidc_issuers: vec!["https://id.example.org".to_owned()],
            oidc_audiences: vec!["wsmesh".to_owned()],
            ..AccessSettings::default()
        };
        let key = wsmesh_bootstrap::SecretFile::from_secret(wsmesh_bootstrap::Secret::new(SECRET));
        let keys = wsmesh_tokens::KeySet::from_file(&key).expect("a key");
        Signed {
            verifier: Verifier::new(keys, None, &settings.expected()),
            ..signed("role", &[])
        }
    }

    /// A token of an operator that expires in some seconds, with these claims instead.
    fn token(expires_in: i64, claims: &Value) -> String {
        let exp = jiff::Timestamp::now().as_second() + expires_in;
        let mut all =
            json!({"sub": "ann", "role": "operator", "iss": "https://id.example.org", "aud": "wsmesh", "exp": exp});
        for (name, value) in claims.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &all, &key).expect("signs")
    }

    #[tokio::test]
    async fn a_token_of_the_provider_has_the_role_of_its_claim_until_it_expires() {
        let caller = verifying().caller(&token(600, &json!({}))).await.expect("valid");
        assert_eq!((caller.name.as_str(), caller.role), ("oidc:ann", Role::Operator));
        let short = verifying()
            .caller(&token(-9, &json!({})))
            .await
            .expect("within the leeway");
        tokio::time::timeout(Duration::from_secs(15), short.ended())
            .await
            .expect("it expires");
    }

    #[tokio::test]
    async fn a_token_for_others_of_others_or_of_nobody_is_rejected() {
        let why = async |token: &str| verifying().caller(token).await.expect_err("rejected");
        assert_eq!(
            why(&token(600, &json!({"iss": "https://evil.example.org"}))).await,
            VerifyError::WrongIssuer
        );
        assert_eq!(
            why(&token(600, &json!({"aud": "shop"}))).await,
            VerifyError::WrongAudience
        );
        assert_eq!(why(&token(-60, &json!({}))).await, VerifyError::Expired);
        assert!(matches!(
            why(&token(600, &json!({"aud": null}))).await,
            VerifyError::BadClaims(_) | VerifyError::WrongAudience
        ));
        assert!(matches!(
            why(&token(600, &json!({"role": "king"}))).await,
            VerifyError::BadClaims(_)
        ));
        assert!(matches!(
            why(&token(600, &json!({"sub": "a\nb"}))).await,
            VerifyError::BadClaims(_)
        ));
        let good = token(600, &json!({}));
        let (claims, signature) = good.rsplit_once('.').expect("a signature");
        let payload = claims.split('.').nth(1).expect("claims");
        // {"alg":"none"}
        for forged in [
            format!("eyJhbGciOiJub25lIn0.{payload}."),
            format!("eyJhbGciOiJub25lIn0.{payload}.{signature}"),
            format!("{claims}."),
            format!("{claims}.AAAA"),
            "..".to_owned(),
        ] {
            assert_eq!(why(&forged).await, VerifyError::BadToken, "{forged}");
        }
    }

    #[test]
    fn a_subject_is_one_short_line() {
        let is_good = |sub: Value| subject(json!({"sub": sub}).as_object().expect("an object")).is_ok();
        assert!(is_good(json!("ann@example.org")));
        for wrong in [json!(""), json!(7), json!("a\nb"), json!("x".repeat(129)), Value::Null] {
            assert!(!is_good(wrong.clone()), "{wrong}");
        }
    }
}
