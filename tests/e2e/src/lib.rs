//! Fixtures for the end-to-end tests: the bundle as separate processes, real Redis processes, plain WebSocket clients.
//!
//! The client speaks the bare protocol, so that it does not depend on what it is there to check.

mod binaries;
mod client;
mod cluster;
mod process;
mod redis;

pub use client::{Client, Closed};
pub use cluster::Cluster;
pub use process::{Ended, Process, free_port};
pub use redis::Redis;

use std::sync::LazyLock;
use std::time::Duration;

/// Longest wait for anything that should happen.
pub const SOON: Duration = Duration::from_secs(20);
/// How long to watch for something that must not happen.
pub const NEVER: Duration = Duration::from_millis(400);

static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    // Built with the whole workspace, reqwest comes without a TLS provider of its own. A second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(SOON).build().expect("a client")
});

/// Asks for a URL by HTTP.
///
/// # Errors
/// When there is no answer.
pub async fn get(url: &str) -> reqwest::Result<reqwest::Response> {
    HTTP.get(url).send().await
}

/// Sends a request with this method and, if there is one, a body of JSON.
///
/// # Errors
/// When there is no answer.
pub async fn send(
    method: reqwest::Method,
    url: &str,
    body: Option<&serde_json::Value>,
) -> reqwest::Result<reqwest::Response> {
    let mut request = HTTP.request(method, url);
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_string());
    }
    request.send().await
}

/// Waits for something, not for ever.
///
/// # Panics
/// When it does not come within [`SOON`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future)
        .await
        .unwrap_or_else(|_| panic!("not within {SOON:?}: {what}"))
}

/// Asks again and again until the answer is yes.
///
/// # Panics
/// When it does not come within [`SOON`].
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let polling = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(what, polling).await;
}
