//! A Redis node. The only folder that names Redis crates.
//!
//! There are two connections per node, implemented here on top of fred's protocol crate. The subscriber loses nothing:
//! unread data waits in TCP, then in Redis (fred passes messages through a broadcast channel that drops some for a slow
//! reader). The publisher combines all messages of a turn into one write (fred's cost per command would exceed the rest
//! of a message's cost). Everything else that is asked of a Redis goes through fred, on a connection of its own that is
//! open only while somebody asks (`inquiry`), but for an address that is not a node yet (`interview`).

mod connection;
mod extent;
mod info;
mod inquiry;
mod interview;
mod limits;
mod publisher;
mod slow_log;
mod subscriber;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::endpoint::Endpoint;
use super::inquiry::{Inquiry, Interview};
use super::link::{Boxed, LinkError, Publisher, Subscriber};
use super::url::{IdentityFiles, NodeUrl};

/// A Redis node to which connections can be opened.
#[derive(Debug)]
struct Redis {
    url: NodeUrl,
    /// This server's name, shown by CLIENT LIST.
    name: String,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
}

/// The node at a URL. `name` is shown by Redis for this server's connections; `limit` is the longest wait for a
/// command.
///
/// # Errors
/// When a file named in the URL of a TLS node cannot be used.
pub(crate) fn endpoint(url: &NodeUrl, name: &str, limit: Duration) -> Result<Arc<dyn Endpoint>, String> {
    let tls = if url.tls() {
        Some(Arc::new(tls_config(url)?))
    } else {
        None
    };
    Ok(Arc::new(Redis {
        url: url.clone(),
        name: shown_name(name),
        tls,
        limit,
    }))
}

/// What the connections of this server are called in CLIENT LIST: Redis rejects spaces and control characters.
fn shown_name(server: &str) -> String {
    let shown = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    server.chars().map(shown).collect()
}

fn tls_config(url: &NodeUrl) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(url)?);
    let Some(files) = url.identity() else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, key) = identity(files)?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable("client certificate", &files.certificate, &error))
}

fn roots(url: &NodeUrl) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = url.ca_file() {
        for certificate in certificates("CA file", file)? {
            roots
                .add(certificate)
                .map_err(|error| unusable("CA file", file, &error))?;
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this system has no root certificates: install them (Debian: ca-certificates) or name a CA \
                    file in the URL (?ca=FILE)"
                .to_owned(),
        );
    }
    Ok(roots)
}

/// The certificate that this server presents to a Redis that requires one, and its key.
fn identity(files: &IdentityFiles) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = certificates("client certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
        pem::Error::NoItemsFound => unusable("key", &files.key, &"it has no private key in PEM form"),
        error => unusable("key", &files.key, &error),
    })?;
    Ok((chain, key))
}

fn certificates(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| unusable(what, file, &error))?;
    if certificates.is_empty() {
        return Err(unusable(what, file, &"it has no certificate in PEM form"));
    }
    Ok(certificates)
}

fn unusable(what: &str, file: &Path, why: &dyn std::fmt::Display) -> String {
    format!("the {what} {} cannot be used: {why}", file.display())
}

impl Endpoint for Redis {
    fn address(&self) -> String {
        self.url.address()
    }

    fn publisher(&self) -> Boxed<'_, Result<Arc<dyn Publisher>, LinkError>> {
        Box::pin(async {
            let publisher = publisher::RedisPublisher::connect(self).await?;
            Ok(Arc::new(publisher) as Arc<dyn Publisher>)
        })
    }

    fn subscriber(&self) -> Boxed<'_, Result<Box<dyn Subscriber>, LinkError>> {
        Box::pin(async {
            let subscriber = subscriber::RedisSubscriber::connect(self).await?;
            Ok(Box::new(subscriber) as Box<dyn Subscriber>)
        })
    }

    fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    fn reach(&self) -> Boxed<'_, Result<(), LinkError>> {
        Box::pin(async { connection::reach(self).await.map(drop) })
    }

    fn inquiry(&self) -> Boxed<'_, Result<Box<dyn Inquiry>, LinkError>> {
        Box::pin(async {
            let inquiry = inquiry::RedisInquiry::connect(self).await?;
            Ok(Box::new(inquiry) as Box<dyn Inquiry>)
        })
    }

    fn interview(&self) -> Boxed<'_, Result<Box<dyn Interview>, LinkError>> {
        Box::pin(async {
            let interview = interview::RedisInterview::connect(self).await?;
            Ok(Box::new(interview) as Box<dyn Interview>)
        })
    }
}
