//! Where a backend is, and what a call to it may take. Plain values, and their check.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use wsmesh_bootstrap::{HttpUrl, LONGEST_DURATION, Live, Secret, SecretFile};

use super::client;
use super::shared::Shared;
use super::signature::SigningKeys;

/// Calls to one backend that may be under way at once, unless it has its own number. More are refused at once.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

/// Largest answer of a backend that is read, in bytes, unless it has its own size.
pub(crate) const MAX_REPLY_BYTES: usize = 256 * 1024;

/// How long a key that was replaced in its file signs, too.
pub(super) const SIGNED_BY_FORMER: Duration = Duration::from_secs(600);

/// Bounds of the two, and of the failures that open a breaker.
const MOST_IN_FLIGHT: usize = 65_536;
const MOST_REPLY_BYTES: usize = 64 << 20;
const MOST_FAILURES: usize = 1_000_000;

/// Where a backend is, and what a call to it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) url: HttpUrl,
    /// Longest time for a call, from its beginning to the last byte of the answer.
    pub(crate) timeout: Duration,
    /// Calls that may be under way at once.
    pub(crate) max_in_flight: usize,
    /// Largest answer that is read, in bytes.
    pub(crate) max_reply_bytes: usize,
    /// Whether an event may be sent again, with the same id, when it is not known whether the backend has it.
    pub(crate) is_idempotent: bool,
    /// Signs what is sent (Standard Webhooks).
    pub(crate) signing_key: Option<SecretFile>,
    /// Sent as `authorization: Bearer`.
    pub(crate) bearer_token: Option<SecretFile>,
    /// Certificates (PEM) to trust instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) breaker: BreakerLimits,
}

/// When a backend is not called any more, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerLimits {
    /// Calls in a row that fail (no answer, or a status of 500 and above). 0: it is always called.
    pub(crate) failures: usize,
    /// How long it is not called then; after that, single calls find out whether it works again.
    pub(crate) open: Duration,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            failures: 10,
            open: Duration::from_secs(2),
        }
    }
}

impl Destination {
    /// With the defaults for all but these two.
    pub(crate) fn new(url: HttpUrl, timeout: Duration) -> Self {
        Self {
            url,
            timeout,
            max_in_flight: MAX_IN_FLIGHT,
            max_reply_bytes: MAX_REPLY_BYTES,
            is_idempotent: false,
            signing_key: None,
            bearer_token: None,
            ca_file: None,
            breaker: BreakerLimits::default(),
        }
    }

    /// What is wrong with it: sentences that name the key in the configuration file and say what to write.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        require(
            self.url.authorization().is_none(),
            "url has a user or a password: remove them, and name a file with a token in bearer_token_file",
        );
        require(
            self.uri().is_some(),
            "url cannot be called: write http://HOST:PORT/PATH, or https",
        );
        require(
            !self.timeout.is_zero() && self.timeout <= LONGEST_DURATION,
            "timeout_ms is 0 or longer than 366 days: remove it or write another value",
        );
        require(
            (1..=MOST_IN_FLIGHT).contains(&self.max_in_flight),
            "max_in_flight must be 1 to 65536",
        );
        require(
            (1..=MOST_REPLY_BYTES).contains(&self.max_reply_bytes),
            "max_reply_bytes must be 1 to 67108864",
        );
        require(
            self.breaker.failures <= MOST_FAILURES,
            "breaker_failures must be 0 (off) to 1000000",
        );
        require(
            !self.breaker.open.is_zero() && self.breaker.open <= LONGEST_DURATION,
            "breaker_open_ms is 0 or longer than 366 days: remove it or write another value",
        );
        require(
            self.ca_file.is_none() || self.url.as_url().scheme() == "https",
            "ca_file is for https: write an https URL, or remove it",
        );
        let files = [
            self.signing_key
                .as_ref()
                .and_then(|file| signing_keys(file).err())
                .map(|problem| ("signing_key_file", problem)),
            self.bearer_token
                .as_ref()
                .and_then(|file| authorization(file).err())
                .map(|problem| ("bearer_token_file", problem)),
            self.ca_file
                .as_deref()
                .and_then(|path| client::certificates(path).err())
                .map(|problem| ("ca_file", problem)),
        ];
        problems.extend(
            files
                .into_iter()
                .flatten()
                .map(|(key, problem)| format!("{key}: {problem}")),
        );
        problems
    }

    /// The URL as requests have it.
    pub(super) fn uri(&self) -> Option<Uri> {
        let mut url = self.url.as_url().clone();
        url.set_fragment(None);
        url.as_str().parse().ok()
    }

    /// The keys that sign, if what is sent is signed. Must be called inside a tokio runtime.
    pub(super) fn signing_keys(&self, shared: &Shared) -> Result<Option<Live<SigningKeys>>, String> {
        let start = |file: &SecretFile| Live::start(file, SIGNED_BY_FORMER, signing_keys);
        let file = self.signing_key.as_ref();
        file.map(|file| shared.signing_keys.of(file, start)).transpose()
    }

    /// The value of the `authorization` header, if there is one. Must be called inside a tokio runtime.
    pub(super) fn authorization(&self, shared: &Shared) -> Result<Option<Live<HeaderValue>>, String> {
        let start = |file: &SecretFile| Live::start(file, Duration::ZERO, authorization);
        let file = self.bearer_token.as_ref();
        file.map(|file| shared.authorizations.of(file, start)).transpose()
    }
}

fn signing_keys(file: &SecretFile) -> Result<SigningKeys, String> {
    let keys = SigningKeys::read(file.secret());
    keys.map_err(|problem| format!("{}: {problem}", file.path().display()))
}

fn authorization(file: &SecretFile) -> Result<HeaderValue, String> {
    bearer(file.secret()).ok_or_else(|| {
        let shown = file.path().display();
        format!("{shown} must hold one token: visible ASCII characters without spaces")
    })
}

fn bearer(token: &Secret) -> Option<HeaderValue> {
    let token = token.expose_text().ok()?;
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(url: &str) -> Destination {
        Destination::new(url.parse().expect("a URL"), Duration::from_secs(3))
    }

    fn secret(text: &str) -> Option<SecretFile> {
        Some(SecretFile::from_secret(Secret::new(text)))
    }

    #[test]
    fn the_defaults_are_good() {
        for url in [
            "http://auction.shop.svc:8080/bids",
            "https://[::1]/a?b=c#d",
            "http://ünïcode.example/ä b",
        ] {
            assert_eq!(to(url).problems(), [""; 0], "{url}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_listed_and_no_secret_with_it() {
        let wrong = Destination {
            timeout: Duration::ZERO,
            max_in_flight: 0,
            max_reply_bytes: usize::MAX,
            signing_key: secret("whsec_hunter!"),
            bearer_token: secret("two hunter"),
            ca_file: Some("/does/not/exist".into()),
            breaker: BreakerLimits {
                failures: usize::MAX,
                open: Duration::ZERO,
            },
            ..to("http://me:hunter@example.org/")
        };
        let problems = wrong.problems();
        let keys = [
            "url",
            "timeout_ms",
            "max_in_flight",
            "max_reply_bytes",
            "breaker_failures",
            "breaker_open_ms",
            "ca_file",
            "signing_key_file",
            "bearer_token_file",
            "ca_file",
        ];
        assert_eq!(problems.len(), keys.len(), "{problems:#?}");
        for (problem, key) in problems.iter().zip(keys) {
            assert!(problem.starts_with(key), "{key}: {problem}");
            assert!(!problem.contains("hunter"), "shows a secret: {problem}");
        }
        assert!(!format!("{wrong:?}").contains("hunter"));
    }

    #[test]
    fn a_token_with_a_line_break_cannot_add_a_header() {
        for text in ["a\r\nx-admin: 1", "a b", "ä", "\u{7f}"] {
            assert_eq!(bearer(&Secret::new(text)), None, "{text:?}");
        }
        assert_eq!(bearer(&Secret::new("abc")).expect("good"), "Bearer abc");
    }
}
