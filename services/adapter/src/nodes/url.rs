//! A node's address: a `redis://` or `rediss://` URL with an optional id, credentials and certificates. A pure value.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::password::{Password, PasswordFile};
use crate::wire::NodeId;

/// Redis's port if the URL names none.
const DEFAULT_PORT: u16 = 6379;

/// Why a node's URL is not valid, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NodeUrlError(String);

/// One Redis node's address: `redis[s]://[user[:password]@]host[:port][?ca=FILE&cert=FILE&key=FILE][#id]`; `host:port` alone is
/// `redis://host:port`.
///
/// `rediss` is TLS. `ca` names a PEM file with the certificate authority to trust instead of the system's. `cert` and
/// `key` name PEM files with the certificate that this server presents to a Redis that requires one (`tls-auth-clients
/// yes`), and its key. The id is the fragment, or else `host:port`: servers that reach one node under different URLs
/// must give it the same id. In user and password, special characters of URLs must be percent-encoded. `Debug`,
/// `Display` and errors never show credentials.
///
/// ```
/// use wsmesh_adapter::NodeUrl;
///
/// let url = NodeUrl::parse("redis://10.0.0.7#redis-2").unwrap();
/// assert_eq!((url.id().as_str(), url.address().as_str()), ("redis-2", "10.0.0.7:6379"));
/// assert_eq!(NodeUrl::parse("cache:7000").unwrap(), NodeUrl::parse("redis://cache:7000#cache:7000").unwrap());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NodeUrl {
    id: NodeId,
    host: String,
    port: u16,
    tls: bool,
    ca_file: Option<PathBuf>,
    identity: Option<IdentityFiles>,
    username: Option<String>,
    password: Option<Password>,
}

/// The files of this server's client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdentityFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl NodeUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// When the text is not valid. The error says what to write instead and never repeats credentials.
    pub fn parse(text: &str) -> Result<Self, NodeUrlError> {
        let url = Url::parse(&with_scheme(text.trim())?).map_err(|error| wrong(&format!("not a URL ({error})")))?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            other => return Err(wrong(&format!("{other}:// is not a Redis URL"))),
        };
        let host = match url.host() {
            Some(Host::Domain(host)) if !host.is_empty() => host.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(wrong("the host is missing")),
        };
        if !matches!(url.path(), "" | "/" | "/0") {
            return Err(wrong("pub/sub ignores database numbers; leave the path out"));
        }
        let (ca_file, identity) = files(&url, tls)?;
        let port = url.port().unwrap_or(DEFAULT_PORT);
        let id = url.fragment().map_or_else(|| Ok(address(&host, port)), decoded)?;
        let username = Some(url.username()).filter(|name| !name.is_empty());
        Ok(Self {
            id: NodeId::new(id).map_err(|error| wrong(&error.to_string()))?,
            username: username.map(decoded).transpose()?,
            password: url
                .password()
                .map(decoded)
                .transpose()?
                .map(|text| Password::Text(text.into())),
            host,
            port,
            tls,
            ca_file,
            identity,
        })
    }

    /// The node's id: the fragment of the URL, or else `host:port`.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// `host:port`, without credentials.
    pub fn address(&self) -> String {
        address(&self.host, self.port)
    }

    /// Whether the URL has a password, as text or in a file.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Sets the password instead of the URL's own.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(Password::Text(password.into().into()));
        self
    }

    /// Sets the file of the password instead of the URL's own password. It is read at every connection attempt, so a new
    /// password needs no restart.
    #[must_use]
    pub fn with_password_file(mut self, file: PasswordFile) -> Self {
        self.password = Some(Password::File(file));
        self
    }

    /// Another node, reached in the same way: with this URL's scheme, port, login and files.
    ///
    /// # Errors
    /// When the host or the id is not valid.
    pub fn of_host(&self, host: &str, id: &str) -> Result<Self, NodeUrlError> {
        let host = Host::parse(host).map_err(|error| wrong(&format!("{host:?} is not a host ({error})")))?;
        Ok(Self {
            id: NodeId::new(id).map_err(|error| wrong(&error.to_string()))?,
            host: match host {
                Host::Ipv6(address) => address.to_string(),
                host => host.to_string(),
            },
            ..self.clone()
        })
    }

    /// The host, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the URL has a user or a password.
    pub(crate) fn has_login(&self) -> bool {
        self.username.is_some() || self.password.is_some()
    }

    /// Takes another URL's user and password, and its files if both use TLS.
    pub(crate) fn with_login_of(mut self, other: &Self) -> Self {
        self.username.clone_from(&other.username);
        self.password.clone_from(&other.password);
        if self.tls && other.tls {
            self.ca_file.clone_from(&other.ca_file);
            self.identity.clone_from(&other.identity);
        }
        self
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

    pub(crate) fn identity(&self) -> Option<&IdentityFiles> {
        self.identity.as_ref()
    }

    /// Whether the URL names files on this machine.
    pub(crate) fn has_files(&self) -> bool {
        self.ca_file.is_some() || self.identity.is_some()
    }

    pub(crate) fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    pub(crate) fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }
}

fn wrong(what: &str) -> NodeUrlError {
    NodeUrlError(format!("{what}: write redis://HOST:PORT#ID (rediss:// for TLS)"))
}

/// The URL with a scheme. Rejects texts whose credentials might be parsed as something public.
fn with_scheme(text: &str) -> Result<String, NodeUrlError> {
    // Without a scheme, "cache:7000" would be parsed as the scheme "cache". A login needs the scheme: the text before the @
    // may be the rest of a password that was split at a comma.
    let whole = match text.split_once("://") {
        Some(_) => text.to_owned(),
        None if text.contains('@') => {
            return Err(wrong(
                "a user or password needs redis:// in front, and a comma in it must be percent-encoded (%2C)",
            ));
        }
        // The port is required, because any word is a valid host name.
        None if text.rsplit_once(':').is_none() => return Err(wrong("not a URL")),
        None => format!("redis://{text}"),
    };
    // An unescaped / ? or # in a password would end the authority, and the rest would be treated as public.
    let rest = whole.split_once("://").map_or("", |(_, rest)| rest);
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    if login.contains(['/', '?', '#']) {
        return Err(wrong(
            "user or password has a character that must be percent-encoded (/ is %2F, ? is %3F, # is %23, @ is %40, a comma is \
             %2C)",
        ));
    }
    Ok(whole)
}

/// The file of the certificate authority, and those of the client certificate.
fn files(url: &Url, tls: bool) -> Result<(Option<PathBuf>, Option<IdentityFiles>), NodeUrlError> {
    let [mut ca_file, mut certificate, mut key_file] = [None, None, None];
    for (key, value) in url.query_pairs() {
        let file = match &*key {
            "ca" => &mut ca_file,
            "cert" => &mut certificate,
            "key" => &mut key_file,
            other => {
                return Err(wrong(&format!(
                    "unknown parameter {other:?} (only ca, cert and key exist)"
                )));
            }
        };
        if !tls {
            return Err(wrong(&format!("{key} needs TLS (rediss://)")));
        }
        *file = Some(PathBuf::from(&*value));
    }
    let identity = match (certificate, key_file) {
        (Some(certificate), Some(key)) => Some(IdentityFiles { certificate, key }),
        (None, None) => None,
        _ => return Err(wrong("a client certificate needs both cert=FILE and key=FILE")),
    };
    Ok((ca_file, identity))
}

fn decoded(text: &str) -> Result<String, NodeUrlError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(wrong("percent-encoded text must be UTF-8")),
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
        assert_eq!(url.username(), Some("app"));
        assert!(url.password() == Some(&Password::Text("p@ss".into())));
        assert_eq!(url.ca_file(), Some(Path::new("/etc/ca.pem")));
        assert_eq!(url.to_string(), "rediss://10.0.0.7:7000#redis-2");
        assert!(!format!("{url:?}").contains("p@ss"));
    }

    #[test]
    fn host_and_port_alone_mean_redis_without_tls() {
        for (text, shown) in [
            ("localhost:6379", "redis://localhost:6379#localhost:6379"),
            ("redis:7000", "redis://redis:7000#redis:7000"),
            (" 10.0.0.7:7000#a\n", "redis://10.0.0.7:7000#a"),
            ("[::1]:7000", "redis://[::1]:7000#[::1]:7000"),
        ] {
            assert_eq!(NodeUrl::parse(text).expect(text).to_string(), shown);
        }
    }

    #[test]
    fn a_certificate_and_its_key_belong_together_and_are_never_shown() {
        let url = NodeUrl::parse("rediss://host?cert=/etc/me.pem&key=/etc/me.key&ca=/etc/ca.pem").expect("valid");
        let identity = url.identity().expect("both files");
        assert_eq!(identity.certificate, Path::new("/etc/me.pem"));
        assert_eq!(identity.key, Path::new("/etc/me.key"));
        assert_eq!(url.to_string(), "rediss://host:6379#host:6379");
        let other = NodeUrl::parse("rediss://other").expect("valid").with_login_of(&url);
        assert_eq!((other.identity(), other.ca_file()), (url.identity(), url.ca_file()));
        let plain = NodeUrl::parse("redis://other").expect("valid").with_login_of(&url);
        assert!(!plain.has_files());
    }

    #[test]
    fn another_host_is_reached_with_the_same_login_and_port() {
        let url = NodeUrl::parse("rediss://app:p%40ss@redis:7000?ca=/etc/ca.pem#redis").expect("valid");
        let other = url.of_host("redis-1.redis", "redis-1").expect("valid");
        assert_eq!(other.to_string(), "rediss://redis-1.redis:7000#redis-1");
        assert!(other.password() == url.password() && other.ca_file() == url.ca_file());
        for (host, id) in [
            ("", "a"),
            ("a b", "a"),
            ("a/b", "a"),
            ("a@b", "a"),
            ("a", ""),
            ("a", "b\n"),
        ] {
            let error = url.of_host(host, id).expect_err(host).to_string();
            assert!(!error.contains("p@ss"), "{error}");
        }
    }

    #[test]
    fn an_ipv6_address_keeps_its_brackets() {
        let url = NodeUrl::parse("redis://[::1]:7000").expect("valid");
        assert_eq!((url.address().as_str(), url.host()), ("[::1]:7000", "::1"));
    }

    #[test]
    fn an_invalid_url_gives_an_error_that_says_what_to_write() {
        for (text, reason) in [
            ("", "not a URL"),
            ("cache", "not a URL"),
            (":6379", "not a URL"),
            ("host:port", "not a URL (invalid port number)"),
            ("cret@host:6379", "needs redis:// in front"),
            ("app:se,cret@host", "needs redis:// in front"),
            ("http://host:6379", "http:// is not a Redis URL"),
            ("redis://", "the host is missing"),
            ("redis://host:99999", "not a URL (invalid port number)"),
            ("redis://host/3", "pub/sub ignores database numbers"),
            ("redis://host?db=1", "unknown parameter \"db\""),
            ("redis://host?ca=x", "ca needs TLS"),
            ("redis://host?key=x&cert=x", "key needs TLS"),
            ("rediss://host?cert=x", "both cert=FILE and key=FILE"),
            ("rediss://host?key=x", "both cert=FILE and key=FILE"),
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
