//! The URL of a web server that this server calls, shown without the parts that may be secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Value;

/// An `http` or `https` URL. `Display`, `Debug` and errors show neither user, password nor query, as any of them may hold a key.
/// A request uses [`HttpUrl::as_url`] and [`HttpUrl::authorization`]; log neither.
///
/// ```
/// use wsmesh_bootstrap::HttpUrl;
///
/// let url: HttpUrl = "https://me:secret@example.org/in?key=secret".parse().unwrap();
/// assert_eq!(url.to_string(), "https://example.org/in?…");
/// assert_eq!(url.with_path("/v1/traces").as_url().as_str(), "https://example.org/in/v1/traces?key=secret");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpUrl {
    /// Without user and password.
    url: Url,
    /// The value of the `Authorization` header.
    authorization: Option<String>,
}

impl HttpUrl {
    /// The URL with its query, without user and password. Not for logs.
    pub fn as_url(&self) -> &Url {
        &self.url
    }

    /// User and password as the value of an `Authorization` header: not for logs.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// With this added to its path. The query stays the same.
    #[must_use]
    pub fn with_path(mut self, more: &str) -> Self {
        let path = format!("{}{more}", self.url.path().trim_end_matches('/'));
        self.url.set_path(&path);
        self
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    /// The error says what to write. It never repeats the text, which may contain a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what}: write http://HOST:PORT/PATH, or https");
        let text = text.trim();
        // The parser also accepts a URL without the slashes, and would not find the password in it.
        let Some((_, rest)) = text.split_once("://") else {
            return Err(wrong("not a URL"));
        };
        // A / \ ? or # in the password ends the authority early: the parser would take the rest for a path, which is shown.
        if rest
            .rsplit_once('@')
            .is_some_and(|(login, _)| login.contains(['/', '\\', '?', '#']))
        {
            return Err(wrong(
                "user or password has a character that must be percent-encoded (/ is %2F, \\ is %5C, ? is %3F, # is %23), or \
                 the path has an @, which is %40",
            ));
        }
        let mut url = match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            Ok(_) => return Err(wrong("not a URL of a web server")),
            Err(error) => return Err(wrong(&format!("not a URL ({error})"))),
        };
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let login = [
                &decoded(url.username())[..],
                b":",
                &decoded(url.password().unwrap_or_default()),
            ]
            .concat();
            format!("Basic {}", STANDARD.encode(login))
        });
        // Cannot fail: the URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { url, authorization })
    }
}

impl TryFrom<String> for HttpUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// As it is shown.
impl From<HttpUrl> for String {
    fn from(url: HttpUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        let more = if self.url.query().is_some() { "?…" } else { "" };
        write!(f, "{shown}{more}")
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({self})")
    }
}

/// Shown without the parts that may be secret.
impl Value for HttpUrl {
    const HINT: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_password_and_query_are_used_and_never_shown() {
        let url: HttpUrl = "https://me:p%40ss@example.org:4318/in?key=secret#part"
            .parse()
            .expect("valid");
        assert_eq!(url.to_string(), "https://example.org:4318/in?…");
        assert_eq!(format!("{url:?}"), "HttpUrl(https://example.org:4318/in?…)");
        assert_eq!(url.show(), Some("https://example.org:4318/in?…".into()));
        // base64 of me:p@ss
        assert_eq!(url.authorization(), Some("Basic bWU6cEBzcw=="));
        assert_eq!(url.as_url().query(), Some("key=secret"));
        let plain: HttpUrl = " http://example.org ".parse().expect("valid");
        assert_eq!(
            (plain.to_string().as_str(), plain.authorization()),
            ("http://example.org/", None)
        );
    }

    #[test]
    fn an_error_says_what_to_write_and_does_not_repeat_the_text() {
        for text in [
            "localhost:4318",
            "cret",
            "redis://me:cret@host",
            "http://",
            "http://me:se/cret@host",
            "http://me:12?cret@host",
            "http://me:12\\cret@host",
            "http:me:12/cret@host",
            "http:/me:12/cret@host",
            "http:///me:12/cret@host",
            "http://host:cret",
        ] {
            let error = text.parse::<HttpUrl>().expect_err(text);
            assert!(error.contains("write http://HOST:PORT/PATH"), "{text}: {error}");
            assert!(!error.contains("cret"), "shows a password: {error}");
        }
    }
}
