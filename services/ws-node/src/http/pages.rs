//! What a browser sees that comes without a WebSocket: the playground in the demo profile, else a helpful sentence.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use crate::edge::Edge;

const HTML: &str = include_str!("../../assets/playground.html");
const SCRIPT: &str = include_str!("../../assets/playground.js");
const STYLE: &str = include_str!("../../assets/playground.css");

/// Nothing from elsewhere; WebSockets to any ws-node.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers a request that is no upgrade.
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
    match (edge.settings.demo, request.uri().path()) {
        (true, "/") => page(HTML, "text/html; charset=utf-8"),
        (true, "/playground.js") => page(SCRIPT, "text/javascript; charset=utf-8"),
        (true, "/playground.css") => page(STYLE, "text/css; charset=utf-8"),
        (_, "/favicon.ico") => text(StatusCode::NOT_FOUND, "there is no icon\n"),
        _ => {
            let mut response = text(
                StatusCode::UPGRADE_REQUIRED,
                "this is a wsmesh ws-node: connect with a WebSocket, on any path\n",
            );
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            response
        }
    }
}

fn page(body: &'static str, content_type: &'static str) -> Response {
    let mut response = text(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
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
