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

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::link::{Boxed, Endpoint, LinkError, Publisher, Subscriber};
use super::url::NodeUrl;

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
/// When the CA file of a TLS node cannot be used.
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
    let mut roots = RootCertStore::empty();
    if let Some(file) = url.ca_file() {
        let unusable = |why: &dyn std::fmt::Display| format!("the CA file {} cannot be used: {why}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        if roots.is_empty() {
            return Err(unusable(&"it has no certificate in PEM form"));
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(
                "this system has no root certificates: install them (Debian: ca-certificates) or name a CA \
                        file in the URL (?ca=FILE)"
                    .to_owned(),
            );
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
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
