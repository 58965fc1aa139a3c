//! Answers to requests without an upgrade, from browsers or health checks: the playground in the demo profile, else a
//! helpful sentence.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::playground;
use crate::edge::Edge;

/// Answers a request that is not an upgrade.
pub(super) fn answer(edge: &Edge, request: &Request) -> Response {
    let method = request.method();
    if method != Method::GET && method != Method::HEAD {
        let mut response = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "this is a WebSocket server: use GET with an upgrade\n",
        );
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let path = request.uri().path();
    if edge.settings.demo
        && let Some(file) = playground::answer(path, request.headers(), &edge.settings)
    {
        return file;
    }
    if path == "/" {
        return status(edge);
    }
    if path == "/favicon.ico" {
        return text(StatusCode::NOT_FOUND, "there is no icon\n");
    }
    let mut response = text(
        StatusCode::UPGRADE_REQUIRED,
        "this is a wsmesh ws-node: connect with a WebSocket, on any path\n",
    );
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

/// For load balancers that check `/`: whether clients should be sent here, as `/readyz` on the ops port has it.
fn status(edge: &Edge) -> Response {
    let mut response = match edge.readiness() {
        Ok(()) => text(
            StatusCode::OK,
            "this is a wsmesh ws-node: connect with a WebSocket, on any path\n",
        ),
        Err(_) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "this wsmesh ws-node accepts no clients now: use another one\n",
        ),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text(status: StatusCode, body: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
