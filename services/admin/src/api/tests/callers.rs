//! Callers with tokens of a file, and their requests.

use std::net::SocketAddr;
use std::path::Path;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use prometheus::Registry;

use super::super::*;
use super::fixture::{Answer, Cluster, send};

/// The callers of these tests: what they may do, by their name, which is their token, too.
pub(super) const CALLERS: [(&str, &str, bool); 4] = [
    ("viewer-0123456789", "viewer", false),
    ("publisher-0123456789", "publisher", false),
    ("clients-0123456789", "publisher", true),
    ("operator-0123456789", "operator", false),
];

/// A request with a token, from an address if one is given.
pub(super) async fn ask(
    router: &Router,
    (method, path): (&str, &str),
    body: &str,
    token: &str,
    from: Option<&str>,
) -> Answer {
    let lines = path.ends_with("/batch");
    let kind = if lines {
        "application/x-ndjson"
    } else {
        "application/json"
    };
    let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(Body::from(body.to_owned())).expect("a request");
    if let Some(from) = from {
        let peer: SocketAddr = (from.parse::<std::net::IpAddr>().expect("an address"), 4711).into();
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    send(router, request).await
}

pub(super) fn entry(name: &str, role: &str, clients: bool, token: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(token.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let clients = if clients { "clients = true\n" } else { "" };
    format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hex}\"\n{clients}")
}

pub(super) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

/// Routes that know the callers of these tests.
pub(super) fn with_callers(cluster: &Cluster, folder: &Path) -> (Api, Router) {
    let path = folder.join("tokens.toml");
    let entries = CALLERS.map(|(token, role, clients)| {
        let name = token.split('-').next().expect("a name");
        entry(name, role, clients, token)
    });
    write(&path, &entries.concat());
    of_file(cluster, &path)
}

pub(super) fn of_file(cluster: &Cluster, path: &Path) -> (Api, Router) {
    let api = Api {
        access: Access::of_file(path),
        ..cluster.api(None)
    };
    let router = router(
        api.clone(),
        HttpMetrics::new(&Registry::new()).expect("registers"),
        None,
    );
    (api, router)
}
