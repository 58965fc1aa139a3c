//! A node's address: `redis://` or `rediss://`, with an id, credentials and a private CA if need be. A pure value.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::wire::NodeId;

/// Redis's port unless the URL names one.
const DEFAULT_PORT: u16 = 6379;

/// Why a node's URL was refused; says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NodeUrlError(String);

/// One Redis node's address: `redis[s]://[user[:password]@]host[:port][?ca=FILE][#id]`.
///
/// `rediss` is TLS; `ca` names a PEM file with the certificate authority to trust in place of the system's. The id is the
/// fragment, else `host:port`: servers that reach one node under different URLs must give it the same id. What is special
/// in URLs is percent-encoded in user and password. Neither `Debug` nor `Display` shows credentials, nor does an error.
///
/// ```
/// use wsmesh_adapter::NodeUrl;
///
/// let url = NodeUrl::parse("redis://10.0.0.7#redis-2").unwrap();
/// assert_eq!((url.id().as_str(), url.address().as_str()), ("redis-2", "10.0.0.7:6379"));
/// assert_eq!(NodeUrl::parse("redis://cache:7000").unwrap().id().as_str(), "cache:7000");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NodeUrl {
    id: NodeId,
    host: String,
    port: u16,
    tls: bool,
    ca_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<String>,
}

impl NodeUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// Says what to write instead; never repeats credentials.
    pub fn parse(text: &str) -> Result<Self, NodeUrlError> {
        let wrong = |what: &str| NodeUrlError(format!("{what}: write redis://HOST:PORT#ID (rediss:// for TLS)"));
        // A password with / ? or # in it ends the authority early: what follows would be taken for something public.
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        if rest
            .rsplit_once('@')
            .is_some_and(|(login, _)| login.contains(['/', '?', '#']))
        {
            return Err(wrong(
                "user or password has a character that must be percent-encoded (/ is %2F, ? is %3F, # is %23, @ is %40)",
            ));
        }
        let url = Url::parse(text.trim()).map_err(|error| wrong(&format!("not a URL ({error})")))?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            other => return Err(wrong(&format!("{other}:// is no Redis URL"))),
        };
        let host = match url.host() {
            Some(Host::Domain(host)) if !host.is_empty() => host.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(wrong("the host is missing")),
        };
        if !matches!(url.path(), "" | "/" | "/0") {
            return Err(wrong(
                "a database number makes no difference to pub/sub; leave the path out",
            ));
        }
        let mut ca_file = None;
        for (key, value) in url.query_pairs() {
            match &*key {
                "ca" if tls => ca_file = Some(PathBuf::from(&*value)),
                "ca" => return Err(wrong("ca is for TLS, which is rediss://")),
                other => return Err(wrong(&format!("unknown parameter {other:?} (there is only ca)"))),
            }
        }
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err(wrong("what is percent-encoded must be UTF-8")),
        };
        let id = url.fragment().map_or_else(|| Ok(address(&host, port)), decoded)?;
        let username = Some(url.username()).filter(|name| !name.is_empty());
        Ok(Self {
            id: NodeId::new(id).map_err(|error| wrong(&error.to_string()))?,
            username: username.map(decoded).transpose()?,
            password: url.password().map(decoded).transpose()?,
            host,
            port,
            tls,
            ca_file,
        })
    }

    /// The node's id: the fragment, else `host:port`.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// `host:port`, without credentials.
    pub fn address(&self) -> String {
        address(&self.host, self.port)
    }

    /// Whether the URL names a password.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Sets the password (from a file, say), in place of the URL's own.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Whether the URL names a user or a password.
    pub(crate) fn has_login(&self) -> bool {
        self.username.is_some() || self.password.is_some()
    }

    /// With another URL's user and password, and with its CA file if both are TLS.
    pub(crate) fn with_login_of(mut self, other: &Self) -> Self {
        self.username.clone_from(&other.username);
        self.password.clone_from(&other.password);
        if self.tls && other.tls {
            self.ca_file.clone_from(&other.ca_file);
        }
        self
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    pub(crate) fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl FromStr for NodeUrl {
    type Err = NodeUrlError;

    fn from_str(text: &str) -> Result<Self, NodeUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}#{}", self.address(), self.id)
    }
}

impl fmt::Debug for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let url = NodeUrl::parse("rediss://app:p%40ss@10.0.0.7:7000?ca=/etc/ca.pem#redis-2").expect("valid");
        assert_eq!((url.username(), url.password()), (Some("app"), Some("p@ss")));
        assert_eq!(url.ca_file(), Some(Path::new("/etc/ca.pem")));
        assert_eq!(url.to_string(), "rediss://10.0.0.7:7000#redis-2");
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn an_ipv6_address_keeps_its_brackets() {
        let url = NodeUrl::parse("redis://[::1]:7000").expect("valid");
        assert_eq!((url.address().as_str(), url.host()), ("[::1]:7000", "::1"));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        for (text, reason) in [
            ("10.0.0.7:6379", "not a URL"),
            ("http://host:6379", "http:// is no Redis URL"),
            ("redis://", "the host is missing"),
            ("redis://host:99999", "not a URL (invalid port number)"),
            ("redis://host/3", "a database number makes no difference"),
            ("redis://host?db=1", "unknown parameter \"db\""),
            ("redis://host?ca=x", "ca is for TLS"),
            ("redis://host#", "node id is empty"),
            ("redis://host?insecure", "unknown parameter \"insecure\""),
            ("redis://:%ff@host", "must be UTF-8"),
            ("redis://:se/cret@host", "must be percent-encoded"),
            ("redis://:12?cret@host", "must be percent-encoded"),
            ("redis://app:12#cret@host:1", "must be percent-encoded"),
        ] {
            let error = NodeUrl::parse(text).expect_err(text).to_string();
            assert!(
                error.contains(reason) && error.contains("write redis://HOST:PORT#ID"),
                "{text}: {error}"
            );
            assert!(!error.contains("cret"), "shows a password: {error}");
        }
    }
}
