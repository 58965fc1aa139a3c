//! Asks the ops port of a server on this machine: for the healthcheck, and for a program that starts several servers. Without
//! proxies and without the system's certificates, whose reading takes longer than a whole answer. A certificate of the server is not
//! verified: it is made for another name, and nothing secret is sent.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, redirect};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The text; its beginning if it is longer than was asked for.
    pub text: String,
}

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Plain HTTP.
    Plain,
    /// HTTP over TLS.
    Tls,
}

/// The beginning of the port's URLs.
impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "http://",
            Self::Tls => "https://",
        })
    }
}

/// Asks a port that speaks plain HTTP for `path` once. The whole answer must be there within `limit`. Keeps at most `most` bytes of
/// its text.
///
/// # Errors
/// Why there is no answer.
pub async fn get(address: SocketAddr, path: &str, limit: Duration, most: usize) -> Result<Answer, String> {
    Probe::new(limit, Speaks::Plain)?.get(address, path, most).await
}

/// Asks again and again: what a request needs is made once. Each request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Probe {
    client: Client,
    speaks: Speaks,
}

impl Probe {
    /// The whole answer to each request must be there within `limit`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(limit: Duration, speaks: Speaks) -> Result<Self, String> {
        let client = client(limit).map_err(|error| format!("no request can be sent: {error:#}"))?;
        Ok(Self { client, speaks })
    }

    /// Asks for `path`; at most `most` bytes of the answer's text are kept.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn get(&self, address: SocketAddr, path: &str, most: usize) -> Result<Answer, String> {
        let url = format!("{}{address}{path}", self.speaks);
        ask(&self.client, &url, most).await
    }
}

async fn ask(client: &Client, url: &str, most: usize) -> Result<Answer, String> {
    let asking = async {
        let answer = client.get(url).send().await;
        let mut answer = answer.map_err(reqwest::Error::without_url)?;
        let mut text = Vec::new();
        while text.len() < most
            && let Some(part) = answer.chunk().await?
        {
            text.extend_from_slice(&part);
        }
        text.truncate(most);
        anyhow::Ok(Answer {
            status: answer.status().as_u16(),
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    };
    asking.await.map_err(|error| format!("no answer from {url}: {error:#}"))
}

/// With a TLS configuration of its own, as reqwest wants one even where it is not used: nothing global is touched or needed.
fn client(limit: Duration) -> anyhow::Result<Client> {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified(ring::default_provider())))
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(redirect::Policy::none())
        .timeout(limit);
    Ok(client.build()?)
}

/// Takes every certificate; the peer must have its key.
#[derive(Debug)]
struct Unverified(CryptoProvider);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
