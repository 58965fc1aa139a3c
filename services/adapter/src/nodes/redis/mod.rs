//! A Redis node. The only folder that names Redis crates.
//!
//! Two connections of our own, which speak through fred's protocol crate. A subscriber loses nothing: what is not read yet
//! waits in TCP, then in Redis (fred hands messages over by a broadcast channel that drops when it laps a reader). A publisher
//! puts what is published in one turn into one write (fred spends more on each command than everything else that a message
//! takes).

mod connection;
mod limits;
mod publisher;
mod subscriber;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::link::{Boxed, Endpoint, LinkError, Publisher, Subscriber};
use super::url::{IdentityFiles, NodeUrl};

/// One Redis node, ready to be connected to.
#[derive(Debug)]
struct Redis {
    url: NodeUrl,
    /// The server's name, shown by CLIENT LIST.
    name: String,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
}

/// A node that is reached by its URL; `name` is what Redis shows of this server, `limit` the longest wait for a command.
///
/// # Errors
/// When a file that the URL of a TLS node names cannot be used.
pub(crate) fn endpoint(url: &NodeUrl, name: &str, limit: Duration) -> Result<Arc<dyn Endpoint>, String> {
    let tls = if url.tls() {
        Some(Arc::new(tls_config(url)?))
    } else {
        None
    };
    // Redis refuses spaces and control characters in a connection's name.
    let name = name
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .collect();
    Ok(Arc::new(Redis {
        url: url.clone(),
        name,
        tls,
        limit,
    }))
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

/// What this server shows to a Redis that asks who it is.
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
}
