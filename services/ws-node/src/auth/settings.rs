//! The settings of authentication.

use std::time::Duration;

use wsmesh_bootstrap::{HttpUrl, Problems, Secret, SecretFile, each, settings, text, within};
use wsmesh_tokens::{KeySet, MIN_SECRET_BYTES};

use super::origins::Origins;
use super::subprotocol::is_answerable;

/// Most keys for tickets that are valid at once.
const MOST_TICKET_KEYS: usize = 8;

settings! {
    /// How clients prove who they are. [`AuthSettings::default`] lets no client in: it names no key.
    pub struct AuthSettings {
        /// File with the key that verifies tokens of clients (JWT): a secret of at least 32 bytes (HS256), public keys in
        /// PEM (RS256, ES256, EdDSA), or a JWKS with several of both. Read again within 5 s after a change. The production profile
        /// needs it, --jwks-url or --ticket-key-file.
        #[key = "jwt_key_file"]
        #[check(each(|file: &SecretFile| KeySet::from_file(file).map(drop)))]
        pub jwt_key: Option<SecretFile>,
        /// URL of the keys that verify tokens (JWKS), for example https://id.example.org/.well-known/jwks.json.
        /// Needs --jwt-audience or --jwt-issuer.
        #[check(each(without_password))]
        pub jwks_url: Option<HttpUrl>,
        /// Time after which the keys are fetched again. They are also fetched when a token names an unknown key, at most every 30 s.
        #[check(within(Duration::from_secs(1)..=Duration::from_secs(86_400)))]
        pub jwks_refresh: Duration = Duration::from_secs(600),
        /// Tokens must be for one of these (claim "aud"); several. Default: not checked.
        #[key = "jwt_audience"]
        pub audiences: Vec<String>,
        /// Tokens must be from one of these (claim "iss"); several. Default: not checked.
        #[key = "jwt_issuer"]
        pub issuers: Vec<String>,
        /// Largest difference between the clock of the issuer of tokens and the clock of this server.
        #[key = "jwt_leeway"]
        #[check(within(Duration::ZERO..=Duration::from_secs(300)))]
        pub leeway: Duration = Duration::from_secs(10),
        /// The claim with the client's id.
        #[key = "jwt_id_claim"]
        #[check(text(claim))]
        pub id_claim: String = "sub".to_owned(),
        /// The claim with the rooms that a client may join itself, instead of --client-rooms.
        #[key = "jwt_rooms_claim"]
        #[check(text(claim))]
        pub rooms_claim: String = "rooms".to_owned(),
        /// The claim with the events that a client may send.
        #[key = "jwt_events_claim"]
        #[check(text(claim))]
        pub events_claim: String = "events".to_owned(),
        /// The claim with the rooms that a client may publish to, instead of those that the namespaces allow.
        #[key = "jwt_publish_claim"]
        #[check(text(claim))]
        pub publish_claim: String = "publish".to_owned(),
        /// Name of the cookie that may hold the token. Needs --allowed-origins. Default: cookies are not read.
        #[key = "auth_cookie"]
        #[check(each(text(cookie_name)))]
        pub cookie: Option<String>,
        /// Let a client connect without a token and show it in its first message (event authenticate).
        #[key = "auth_by_message"]
        pub by_message: bool = false,
        /// Longest time until that message; then the client is disconnected with 4014.
        #[key = "auth_timeout"]
        #[check(within(Duration::from_millis(10)..=Duration::from_secs(60)))]
        pub timeout: Duration = Duration::from_secs(5),
        /// File with the key that your backend shows to get one-time tickets for clients (POST /api/v1/tickets on the ops
        /// port), at least 32 bytes. Must be the same on every ws-node. Several, one a line: each is accepted, the first one signs.
        /// Read again within 5 s after a change. Default: there are no tickets.
        #[key = "ticket_key_file"]
        #[check(each(|file: &SecretFile| ticket_keys(file).map(drop)))]
        pub ticket_key: Option<SecretFile>,
        /// How long the keys of --jwt-key-file and --ticket-key-file are still accepted after they were replaced in their file,
        /// because others may still use them. Write 0s if a key became known to strangers.
        #[check(within(Duration::ZERO..=Duration::from_secs(86_400)))]
        pub key_overlap: Duration = Duration::from_secs(600),
        /// Origins of pages whose scripts may connect: https://app.example.org, https://*.example.org, or "*"; several. Others
        /// are rejected with 403. Requests without Origin do not come from browsers and are allowed. Default: not checked.
        #[check(each(|origin: &String| Origins::new(std::slice::from_ref(origin)).map(drop)))]
        pub allowed_origins: Vec<String>,
        /// Subprotocols that the server accepts when a client offers them, in addition to wsmesh; several. Default: the first that the
        /// client offers, unless it holds a token.
        #[check(each(text(subprotocol)))]
        pub subprotocols: Vec<String>,
    }
}

/// The problem of a production profile without any key.
const NO_AUTH: &str = "the production profile needs authentication: make a key with `openssl rand -base64 48 > jwt.key` and \
     name it with --jwt-key-file (WSMESH_JWT_KEY_FILE), or name the URL of keys with --jwks-url, or let a backend of yours say \
     who clients are ([connect] in the configuration file), or use --profile demo to try things out without authentication";

/// The problem of keys that verify tokens of other services, too.
const ANY_TOKEN: &str = "such keys also sign tokens for other services, and every client with such a token would get in: name \
     the audience of your tokens with --jwt-audience, or their issuer with --jwt-issuer";

/// The problem of cookies without origins.
const ANY_PAGE: &str = "browsers send cookies with requests of any page, so without --allowed-origins every page could connect \
     in the name of its visitor: list the origins of your pages (\"*\": all of them)";

impl AuthSettings {
    /// Checks what no single setting can know. `otherwise`: it is known without a key who clients are.
    pub(crate) fn check_together(&self, otherwise: bool, problems: &mut Problems) {
        let has_tokens = self.jwt_key.is_some() || self.jwks_url.is_some();
        if !otherwise && !has_tokens && self.ticket_key.is_none() {
            problems.about("jwt_key_file", NO_AUTH);
        }
        if self.jwks_url.is_some() && self.audiences.is_empty() && self.issuers.is_empty() {
            problems.about("jwks_url", ANY_TOKEN);
        }
        if self.by_message && !has_tokens {
            let text = "there is no key to verify the token of that message: add --jwt-key-file or --jwks-url";
            problems.about("auth_by_message", text);
        }
        if self.cookie.is_some() && self.allowed_origins.is_empty() {
            problems.about("auth_cookie", ANY_PAGE);
        }
    }
}

/// The keys of a file for tickets; the error says what to do.
pub(super) fn ticket_keys(file: &SecretFile) -> Result<Vec<Secret>, String> {
    let lines = file.secret().expose().split(|byte| *byte == b'\n');
    let lines = lines.map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty());
    let keys: Vec<_> = lines.map(ticket_key).collect::<Result<_, _>>()?;
    match keys.len() > MOST_TICKET_KEYS {
        true => Err(format!("has more than {MOST_TICKET_KEYS} keys: remove the old ones")),
        false => Ok(keys),
    }
}

fn ticket_key(key: &[u8]) -> Result<Secret, String> {
    if key.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "the key has {} bytes, it needs at least {MIN_SECRET_BYTES}: make one with `openssl rand -base64 48`",
            key.len()
        ));
    }
    if !key.iter().all(u8::is_ascii_graphic) {
        return Err(
            "the key goes into a header, so it must be one line of plain characters without spaces: make one with \
                    `openssl rand -base64 48`"
                .to_owned(),
        );
    }
    Ok(Secret::new(key))
}

fn without_password(url: &HttpUrl) -> Result<(), String> {
    match url.authorization() {
        Some(_) => Err("must not contain a password, as the keys are public: remove it".to_owned()),
        None => Ok(()),
    }
}

fn claim(name: &str) -> Result<(), String> {
    match name.is_empty() {
        true => Err("is empty: name a claim".to_owned()),
        false => Ok(()),
    }
}

fn cookie_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match !name.is_empty() && name.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(format!(
            "{name:?} is not a valid name of a cookie: write letters, digits, -, _ or ."
        )),
    }
}

fn subprotocol(name: &str) -> Result<(), String> {
    match is_answerable(name) {
        true => Ok(()),
        false => Err(format!(
            "{name:?} cannot be accepted: write letters, digits, - or ., and no name that starts with bearer., which holds tokens"
        )),
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::{Secret, Settings};

    use super::*;

    fn key() -> Option<SecretFile> {
        Some(SecretFile::from_secret(Secret::new("0123456789abcdef0123456789abcdef")))
    }

    fn problems(settings: &AuthSettings, demo: bool) -> Vec<String> {
        let mut problems = Problems::default();
        settings.check(&mut problems);
        settings.check_together(demo, &mut problems);
        problems.lines().to_vec()
    }

    fn about(settings: AuthSettings) -> Vec<String> {
        let lines = problems(&settings, false);
        let keys = lines.iter().filter_map(|line| line.split_once(": "));
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    #[test]
    fn production_needs_a_key_and_says_how_to_make_one() {
        let without = AuthSettings::default();
        let found = problems(&without, false);
        assert!(found.len() == 1 && found[0].contains("openssl rand"), "{found:?}");
        assert!(problems(&without, true).is_empty());
        let only_tickets = AuthSettings {
            ticket_key: key(),
            ..AuthSettings::default()
        };
        assert!(about(only_tickets).is_empty());
    }

    #[test]
    fn settings_that_would_let_strangers_in_are_rejected() {
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
