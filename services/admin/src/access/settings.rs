//! The settings of who may use the API, in addition to the one token.

use std::time::Duration;

use ipnet::IpNet;
use wsmesh_bootstrap::{HttpUrl, Problems, SecretFile, each, settings, text, within};
use wsmesh_tokens::{Expected, KeySet};

use super::files::{Kind, read};
use super::listing::check_clients;
use super::role::Role;

settings! {
    /// Who may use the API. [`AccessSettings::default`] lets nobody in.
    pub struct AccessSettings {
        /// File with tokens of the API, each with a name and a role (TOML; admin token makes entries). Read again within 5 s
        /// after a change, as the file of --token-file is.
        pub tokens_file: Option<SecretFile>,
        /// URL of the keys of an identity provider (JWKS): callers may then send its tokens (JWT). Needs --oidc-audience.
        #[check(each(without_password))]
        pub oidc_jwks_url: Option<HttpUrl>,
        /// File with such keys, instead of their URL: a JWKS, or public keys in PEM. Read again within 5 s after a change.
        #[check(each(|file: &SecretFile| public_keys(file).map(drop)))]
        pub oidc_jwks_file: Option<SecretFile>,
        /// Tokens of the provider must be for one of these (claim "aud"); several. Needed with keys of a provider.
        #[key = "oidc_audience"]
        pub oidc_audiences: Vec<String>,
        /// Tokens of the provider must be from one of these (claim "iss"); several. Default: not checked.
        #[key = "oidc_issuer"]
        pub oidc_issuers: Vec<String>,
        /// The claim with the roles of a caller: a text or a list of texts. In an object: realm_access.roles. The highest counts.
        #[check(text(claim))]
        pub role_claim: String = "role".to_owned(),
        /// What values of that claim mean, for example ops-team=operator; several. publisher+clients: a publisher that may change
        /// clients, too. Default: the values are viewer, publisher and operator.
        #[key = "oidc_role"]
        #[check(each(|text: &String| meaning(text).map(drop)))]
        pub oidc_roles: Vec<String>,
        /// Largest difference between the clock of the provider and the clock of this server.
        #[check(within(Duration::ZERO..=Duration::from_secs(300)))]
        pub oidc_leeway: Duration = Duration::from_secs(10),
        /// In Kubernetes: callers may send tokens of users and service accounts, which the Kubernetes API checks (TokenReview). Their
        /// roles are in --tokens-file ([[kubernetes]]).
        pub kubernetes_token_review: bool = false,
        /// Tokens of Kubernetes must be for one of these; several. Default: for the Kubernetes API itself, so whoever gets such a
        /// token from its owner may use it there, too.
        #[key = "kubernetes_audience"]
        pub kubernetes_audiences: Vec<String>,
        /// Networks of proxies whose X-Forwarded-For is trusted, for example 10.0.0.0/8; several. Wrong tokens are slowed down by
        /// the address that they name.
        pub trusted_proxies: Vec<IpNet>,
    }
}

/// Such keys sign tokens for other programs, too.
const ANY_TOKEN: &str = "such keys also sign tokens for other services, and everyone with such a token and a role would get in: name \
     the audience of your tokens with --oidc-audience";

impl AccessSettings {
    /// Whether there are keys of an identity provider.
    pub(super) fn has_provider(&self) -> bool {
        self.oidc_jwks_url.is_some() || self.oidc_jwks_file.is_some()
    }

    /// Whether somebody may get in by these settings.
    pub(crate) fn lets_in(&self) -> bool {
        self.tokens_file.is_some() || self.has_provider()
    }

    /// Checks what no single setting can know.
    pub(crate) fn check_together(&self, problems: &mut Problems) {
        if let Some(file) = &self.tokens_file {
            for wrong in read(Kind::List, file.secret().expose()).err().into_iter().flatten() {
                problems.about("tokens_file", format!("{}: {wrong}", file.path().display()));
            }
        }
        if self.oidc_jwks_url.is_some() && self.oidc_jwks_file.is_some() {
            problems.about(
                "oidc_jwks_file",
                "cannot be used together with --oidc-jwks-url: name one of them",
            );
        }
        if self.has_provider() && self.oidc_audiences.is_empty() {
            let key = if self.oidc_jwks_url.is_some() {
                "oidc_jwks_url"
            } else {
                "oidc_jwks_file"
            };
            problems.about(key, ANY_TOKEN);
        }
        if !self.kubernetes_audiences.is_empty() && !self.kubernetes_token_review {
            problems.about(
                "kubernetes_audience",
                "says nothing without --kubernetes-token-review: set both",
            );
        }
        if self.kubernetes_token_review && self.tokens_file.is_none() {
            problems.about(
                "kubernetes_token_review",
                "needs the roles of users and groups: name a file with [[kubernetes]] tables with --tokens-file",
            );
        }
    }

    /// What a token of the provider must say.
    pub(super) fn expected(&self) -> Expected {
        Expected {
            audiences: self.oidc_audiences.clone(),
            issuers: self.oidc_issuers.clone(),
            leeway: self.oidc_leeway,
        }
    }

    /// What the values of the claim with roles mean.
    pub(super) fn meanings(&self) -> Vec<(String, (Role, bool))> {
        if self.oidc_roles.is_empty() {
            let roles = [Role::Viewer, Role::Publisher, Role::Operator];
            return roles.map(|role| (role.to_string(), (role, false))).to_vec();
        }
        self.oidc_roles.iter().filter_map(|text| meaning(text).ok()).collect()
    }
}

/// The keys in a file. Anybody may know them, so a secret is no such key.
pub(super) fn public_keys(file: &SecretFile) -> Result<KeySet, String> {
    let bytes = file.secret().expose();
    match std::str::from_utf8(bytes).map(str::trim_start) {
        Ok(text) if text.starts_with('{') => KeySet::from_jwks(bytes),
        Ok(text) if text.contains("-----BEGIN ") => KeySet::from_file(file),
        _ => Err("has neither a JWKS ({\"keys\": […]}) nor public keys in PEM".to_owned()),
    }
}

/// Reads `VALUE=ROLE`.
fn meaning(text: &str) -> Result<(String, (Role, bool)), String> {
    let wrong = || format!("{text:?} is not VALUE=ROLE: write for example ops-team=operator");
    let (value, role) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (role, clients) = match role.strip_suffix("+clients") {
        Some(role) => (role, true),
        None => (role, false),
    };
    let roles = [Role::Viewer, Role::Publisher, Role::Operator];
    let role = roles
        .into_iter()
        .find(|known| known.as_str() == role)
        .ok_or_else(wrong)?;
    check_clients(role, clients)?;
    match value.is_empty() {
        true => Err(wrong()),
        false => Ok((value.to_owned(), (role, clients))),
    }
}

fn without_password(url: &HttpUrl) -> Result<(), String> {
    match url.authorization() {
        Some(_) => Err("must not contain a password, as the keys are public: remove it".to_owned()),
        None => Ok(()),
    }
}

fn claim(name: &str) -> Result<(), String> {
    match name.split('.').any(str::is_empty) {
        true => Err("is not the name of a claim: write for example role, or realm_access.roles".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_means_is_read_strictly() {
        assert_eq!(
            meaning("cn=ops,dc=org=operator"),
            Ok(("cn=ops,dc=org".to_owned(), (Role::Operator, false)))
        );
        assert_eq!(
            meaning("shop=publisher+clients"),
            Ok(("shop".to_owned(), (Role::Publisher, true)))
        );
        for wrong in [
            "",
            "operator",
            "=operator",
            "a=",
            "a=king",
            "a=viewer+clients",
            "a=Operator",
        ] {
            assert!(meaning(wrong).is_err(), "{wrong}");
        }
    }
}
