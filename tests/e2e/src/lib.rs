//! Fixtures for the end-to-end tests: the bundle as separate processes, real Redis processes, plain WebSocket clients.
//!
//! The client uses the plain protocol, so that it does not depend on what it checks.

mod binaries;
mod client;
mod cluster;
mod collector;
mod process;

pub use client::{Client, Closed};
pub use cluster::Cluster;
pub use collector::{Collector, Span};
pub use process::{Ended, Process, free_port};
pub use wsmesh_test_support::redis::Redis;
pub use wsmesh_test_support::{SOON, soon};

use std::sync::LazyLock;
use std::time::Duration;

/// How long to wait for something that must not happen.
pub const NEVER: Duration = Duration::from_millis(400);

static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
    // In a build of the whole workspace reqwest has no TLS provider of its own. Installing one twice has no effect.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(SOON).build().expect("a client")
});

/// Sends a GET request.
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

/// Sends a POST request with these headers and this body.
///
/// # Errors
/// When there is no answer.
pub async fn post_text(url: &str, headers: &[(&str, &str)], body: String) -> reqwest::Result<reqwest::Response> {
    let mut request = HTTP.post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).send().await
}

/// Checks a condition again and again until it holds.
///
/// # Panics
/// When that takes longer than [`SOON`].
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let polling = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(what, polling).await;
}
