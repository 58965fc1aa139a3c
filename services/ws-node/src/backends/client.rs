//! The HTTP client: pooled connections with keep-alive, HTTP/1.1, and h2 where a server of `https` offers it. It follows no
//! redirects and uses no proxies.
//!
//! It is hyper-util's client, which is a tower service over the types of `http` as it is. reqwest, which wraps it, has its own
//! types for requests, converts the URL for each, and hides whether a request was sent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wsmesh_bootstrap::{Live, SecretFile};

/// The client that requests are sent with. Clones share its connections.
pub(super) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How long a connection may be idle before it is closed. Many servers close theirs after 5 s: a request that meets that is
/// lost, and this side cannot tell whether it was handled.
const IDLE: Duration = Duration::from_secs(4);

/// How often an h2 connection is tested while calls wait on it, and how long for. One to a host that has vanished would be used for
/// as long as TCP believes in it, as all calls share it.
const H2_PING: Duration = Duration::from_secs(2);

/// Longest time to connect, which the addresses of a host share.
const CONNECT: Duration = Duration::from_secs(3);

/// Makes a client that trusts the certificates in a file, or the system's. The file is read again while the server runs; the
/// connections of a client that was replaced are not used any more. Must be called inside a tokio runtime.
pub(super) fn client(ca_file: Option<&Path>) -> Result<Live<HttpClient>, String> {
    let Some(path) = ca_file else {
        return trusting(rustls_native_certs::load_native_certs().certs).map(Live::fixed);
    };
    let file = SecretFile::read(path)?;
    Live::start(&file, Duration::ZERO, |file| trusting(certificates_in(file)?))
}

fn trusting(certificates: Vec<CertificateDer<'static>>) -> Result<HttpClient, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    // TLS is above it.
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    // A request that a pooled connection gives back unsent is sent on another one: its default.
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_keep_alive_interval(Some(H2_PING))
        .http2_keep_alive_timeout(H2_PING)
        .build(https))
}

/// The certificates in a file; there must be one at least.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = SecretFile::read(path).map_err(|problem| format!("cannot read certificates: {problem}"))?;
    certificates_in(&file)
}

fn certificates_in(file: &SecretFile) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.path().display();
    let read = CertificateDer::pem_slice_iter(file.secret().expose()).collect::<Result<Vec<_>, _>>();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(format!("{shown} has no certificate: write PEM into it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("cannot read certificates from {shown}: {error}")),
    }
}
