//! Asks the ops port of a server on this machine: for the healthcheck, and for a program that starts several servers. Plain HTTP,
//! without proxies and without the system's certificates, whose reading takes longer than a whole answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, redirect};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The text; its beginning if it is longer than was asked for.
    pub text: String,
}

/// Asks for `path` once. The whole answer must be there within `limit`; at most `most` bytes of its text are kept.
///
/// # Errors
/// Why there is no answer.
pub async fn get(address: SocketAddr, path: &str, limit: Duration, most: usize) -> Result<Answer, String> {
    Probe::new(limit)?.get(address, path, most).await
}

/// Asks again and again: what a request needs is made once. Each request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Probe(Client);

impl Probe {
    /// The whole answer to each request must be there within `limit`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(limit: Duration) -> Result<Self, String> {
        let client = client(limit).map_err(|error| format!("no request can be sent: {error:#}"))?;
        Ok(Self(client))
    }

    /// Asks for `path`; at most `most` bytes of the answer's text are kept.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn get(&self, address: SocketAddr, path: &str, most: usize) -> Result<Answer, String> {
        ask(&self.0, address, path, most).await
    }
}

async fn ask(client: &Client, address: SocketAddr, path: &str, most: usize) -> Result<Answer, String> {
    let url = format!("http://{address}{path}");
    let asking = async {
        let answer = client.get(&url).send().await;
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
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(redirect::Policy::none())
        .timeout(limit);
    Ok(client.build()?)
}
