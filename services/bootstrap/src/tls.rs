//! TLS of a port: rustls with a certificate from files, which are checked again so that a renewed one is used
//! without a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// How often the files are read again, when a client connects.
const RELOAD: Duration = Duration::from_secs(30);

/// Where a certificate and its key are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// An acceptor of TLS connections with this certificate.
    ///
    /// # Errors
    /// When the files cannot be used. The sentence says which and why.
    pub fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let certificates = Certificates {
            files: self.clone(),
            current: Mutex::new(Current {
                key: self.load()?,
                loaded: Instant::now(),
            }),
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        // RFC 6455 is spoken over HTTP/1.1 here, and `http` speaks nothing else.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn load(&self) -> Result<Arc<CertifiedKey>, String> {
        let unusable = |what: &str, path: &PathBuf, why: &dyn std::fmt::Display| {
            format!("cannot use the {what} of {}: {why}; it must be PEM", path.display())
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable("certificate", &self.certificate, &error))?;
        if chain.is_empty() {
            return Err(unusable("certificate", &self.certificate, &"it holds none"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unusable("key", &self.key, &error))?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        certified.map(Arc::new).map_err(|error| {
            unusable(
                "key",
                &self.key,
                &format!("{error}: does it belong to the certificate?"),
            )
        })
    }
}

#[derive(Debug)]
struct Certificates {
    files: TlsFiles,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    loaded: Instant,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut current = self.current.lock();
        if current.loaded.elapsed() > RELOAD {
            current.loaded = Instant::now();
            match self.files.load() {
                Ok(key) if key.cert != current.key.cert => {
                    tracing::info!("the certificate was renewed");
                    current.key = key;
                }
                Ok(_) => {}
                Err(problem) => tracing::error!(
                    "cannot renew the certificate; the former one stays in use: correct the file: {problem}"
                ),
            }
        }
        Some(Arc::clone(&current.key))
    }
}
