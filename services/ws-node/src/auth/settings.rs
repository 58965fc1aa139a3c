//! What can be set about who gets in: plain data with defaults and their reasons, and what is wrong with it.

use std::time::Duration;

use wsmesh_bootstrap::{HttpUrl, SecretFile};

use super::keys::{KeySet, check_ticket_key};
use super::origins::Origins;
use super::subprotocol::is_answerable;

/// How clients prove who they are. [`AuthSettings::default`] lets nobody in: it names no key.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// The key that tokens are verified with: a secret (HS256), or public keys in PEM (RS256, ES256, EdDSA).
    pub jwt_key: Option<SecretFile>,
    /// Where the keys are fetched that tokens are verified with (JWKS, RFC 7517). Default: nowhere.
    pub jwks_url: Option<HttpUrl>,
    /// How often they are fetched again. Default 10 min.
    pub jwks_refresh: Duration,
    /// Tokens must be for one of these (`aud`). Default: not looked at.
    pub audiences: Vec<String>,
    /// Tokens must be from one of these (`iss`). Default: not looked at.
    pub issuers: Vec<String>,
    /// By how much the clocks of whoever signs and of this server may differ. Default 10 s.
    pub leeway: Duration,
    /// The claim that is the client's id. Default `sub`.
    pub id_claim: String,
    /// The claim that lists the rooms that the client may join by itself. Default `rooms`.
    pub rooms_claim: String,
    /// The claim that lists the events that the client may send. Default `events`.
    pub events_claim: String,
    /// The cookie that may hold the token. Default: none.
    pub cookie: Option<String>,
    /// Whether a client may connect without a token and show it in its first message. Default no.
    pub by_message: bool,
    /// How long it may take for that. Default 5 s.
    pub timeout: Duration,
    /// The key with which an application gets one-time tickets for its clients. Default: none, there are no tickets.
    pub ticket_key: Option<SecretFile>,
    /// Pages whose scripts may connect, as origins. Default: not looked at.
    pub allowed_origins: Vec<String>,
    /// Subprotocols that are answered when a client offers them, beside `wsmesh`. Default: the first that it offers.
    pub subprotocols: Vec<String>,
}

/// What production says when nobody could prove who they are.
const NO_AUTH: &str = "the production profile needs authentication: make a key with `openssl rand -base64 48 > jwt.key` and \
     name it with --jwt-key-file (WSMESH_JWT_KEY_FILE), or name where keys are fetched with --jwks-url, or use --profile demo \
     to try things out without";

impl AuthSettings {
    pub(crate) const REFRESH: Duration = Duration::from_secs(600);
    pub(crate) const LEEWAY: Duration = Duration::from_secs(10);
    pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
    pub(crate) const ID_CLAIM: &'static str = "sub";
    pub(crate) const ROOMS_CLAIM: &'static str = "rooms";
    pub(crate) const EVENTS_CLAIM: &'static str = "events";

    /// What is wrong with it: setting and sentence. `demo` is whether clients are believed who they say they are.
    pub(crate) fn problems(&self, demo: bool) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut about = |key, problem: String| problems.push((key, problem));
        let has_tokens = self.jwt_key.is_some() || self.jwks_url.is_some();
        if !demo && !has_tokens && self.ticket_key.is_none() {
            about("jwt_key_file", NO_AUTH.to_owned());
        }
        if let Some(Err(problem)) = self.jwt_key.as_ref().map(KeySet::from_file) {
            about("jwt_key_file", problem);
        }
        if let Some(Err(problem)) = self.ticket_key.as_ref().map(check_ticket_key) {
            about("ticket_key_file", problem);
        }
        if let Some(url) = &self.jwks_url {
            if url.authorization().is_some() {
                about("jwks_url", "must not hold a password: keys are public".to_owned());
            }
            if self.audiences.is_empty() && self.issuers.is_empty() {
                let why = "keys that others use, too, need more: whoever has any token signed with them would get in; name \
                           whom tokens are for with --jwt-audience, or who issues them with --jwt-issuer";
                about("jwks_url", why.to_owned());
            }
        }
        if self.by_message && !has_tokens {
            let why = "there is no key to verify that message's token with: give --jwt-key-file or --jwks-url";
            about("auth_by_message", why.to_owned());
        }
        if let Err(problem) = Origins::new(&self.allowed_origins) {
            about("allowed_origins", problem);
        }
        for name in self.subprotocols.iter().filter(|name| !is_answerable(name)) {
            let why = "cannot be answered: write letters, digits, - or ., and nothing that begins with bearer., which holds tokens";
            about("subprotocols", format!("{name:?} {why}"));
        }
        if let Some(cookie) = &self.cookie {
            if !is_cookie_name(cookie) {
                about(
                    "auth_cookie",
                    format!("{cookie:?} is no name of a cookie: write letters, digits, - or _"),
                );
            }
            if self.allowed_origins.is_empty() {
                let why = "browsers send cookies for any page: without --allowed-origins every page could connect in the name \
                           of whoever looks at it; list the origins of your pages (\"*\": all of them)";
                about("auth_cookie", why.to_owned());
            }
        }
        let second = Duration::from_secs(1);
        for (key, duration, least, most) in [
            ("jwks_refresh", self.jwks_refresh, second, 86_400 * second),
            ("jwt_leeway", self.leeway, Duration::ZERO, 300 * second),
            ("auth_timeout", self.timeout, second / 100, 60 * second),
        ] {
            if !(least..=most).contains(&duration) {
                about(key, format!("is out of bounds: write {least:?} to {most:?}"));
            }
        }
        for (key, claim) in [
            ("jwt_id_claim", &self.id_claim),
            ("jwt_rooms_claim", &self.rooms_claim),
            ("jwt_events_claim", &self.events_claim),
        ] {
            if claim.is_empty() {
                about(key, "is empty: name a claim".to_owned());
            }
        }
        problems
    }
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            jwt_key: None,
            jwks_url: None,
            jwks_refresh: Self::REFRESH,
            audiences: Vec::new(),
            issuers: Vec::new(),
            leeway: Self::LEEWAY,
            id_claim: Self::ID_CLAIM.to_owned(),
            rooms_claim: Self::ROOMS_CLAIM.to_owned(),
            events_claim: Self::EVENTS_CLAIM.to_owned(),
            cookie: None,
            by_message: false,
            timeout: Self::TIMEOUT,
            ticket_key: None,
            allowed_origins: Vec::new(),
            subprotocols: Vec::new(),
        }
    }
}

fn is_cookie_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::Secret;

    use super::*;

    fn key() -> Option<SecretFile> {
        Some(SecretFile::from_secret(Secret::new("0123456789abcdef0123456789abcdef")))
    }

    fn about(settings: AuthSettings) -> Vec<&'static str> {
        settings.problems(false).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn production_needs_a_way_to_prove_oneself_and_says_how_to_get_one() {
        let problems = AuthSettings::default().problems(false);
        assert!(
            problems.len() == 1 && problems[0].1.contains("openssl rand"),
            "{problems:?}"
        );
        assert!(AuthSettings::default().problems(true).is_empty());
        let only_tickets = AuthSettings {
            ticket_key: key(),
            ..AuthSettings::default()
        };
        assert!(only_tickets.problems(false).is_empty());
    }

    #[test]
    fn what_would_let_strangers_in_is_refused() {
        let jwks = |audiences: &[&str]| AuthSettings {
            jwks_url: Some("https://id.example.org/keys".parse().expect("a URL")),
            audiences: audiences.iter().map(ToString::to_string).collect(),
            ..AuthSettings::default()
        };
        assert_eq!(about(jwks(&[])), ["jwks_url"]);
        assert!(about(jwks(&["chat"])).is_empty());
        let cookie = AuthSettings {
            jwt_key: key(),
            cookie: Some("session".to_owned()),
            ..AuthSettings::default()
        };
        assert_eq!(about(cookie.clone()), ["auth_cookie"]);
        let with_origins = AuthSettings {
            allowed_origins: vec!["https://app.example.org".to_owned()],
            ..cookie
        };
        assert!(about(with_origins).is_empty());
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        let settings = AuthSettings {
            ticket_key: Some(SecretFile::from_secret(Secret::new("short"))),
            jwks_url: Some("https://me:secret@id.example.org/keys".parse().expect("a URL")),
            audiences: vec!["chat".to_owned()],
            leeway: Duration::from_secs(301),
            jwks_refresh: Duration::ZERO,
            timeout: Duration::ZERO,
            id_claim: String::new(),
            cookie: Some("a b".to_owned()),
            allowed_origins: vec!["example.org".to_owned()],
            subprotocols: vec!["chat".to_owned(), "a b".to_owned()],
            ..AuthSettings::default()
        };
        let mut found = about(settings);
        found.sort_unstable();
        assert_eq!(
            found,
            [
                "allowed_origins",
                "auth_cookie",
                "auth_timeout",
                "jwks_refresh",
                "jwks_url",
                "jwt_id_claim",
                "jwt_leeway",
                "subprotocols",
                "ticket_key_file"
            ]
        );
    }
}
