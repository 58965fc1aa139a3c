//! The upgrade from HTTP to WebSocket (RFC 6455, section 4.2), by hand: the connection leaves hyper and goes to a shard.
//!
//! Everything that can be refused is refused here, with a status and a sentence, before anything is upgraded.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{Method, StatusCode, Version};
use axum::response::Response;
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use opentelemetry::trace::SpanContext;
use tokio::net::TcpStream;
use wsmesh_adapter::ClientId;
use wsmesh_protocol::Params;

use crate::edge::Gate;
use crate::engine::Admission;
use crate::metrics::Rejected;
use crate::trace;

/// Longest wait for the 101 answer to be written and the connection to be handed over.
const HAND_OVER: Duration = Duration::from_secs(10);

/// Whether the request wants a WebSocket, however badly it asks.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket") || headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// Answers the request, and sees to it that the connection reaches a shard.
pub(super) fn answer(gate: &Gate, mut request: Request) -> Response {
    let since = Instant::now();
    let span = trace::upgrade_span();
    let _entered = span.enter();
    let admitted = check(&request).and_then(|accept| Ok((accept, identify(gate, &request)?)));
    let (accept, client) = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            gate.edge.metrics.rejected(refusal.why);
            span.record("http.response.status_code", refusal.status.as_u16());
            return refusal.into_response();
        }
    };
    span.record("http.response.status_code", 101);
    let context = trace::link_target(&span);
    let on_upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(hand_over(gate.clone(), on_upgrade, client, context, since));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// Checks the request by RFC 6455, section 4.2.1, and gives the value of `Sec-WebSocket-Accept`.
fn check(request: &Request) -> Result<HeaderValue, Refusal> {
    let headers = request.headers();
    let bad = |text: &str| Refusal::new(StatusCode::BAD_REQUEST, Rejected::BadRequest, text.to_owned());
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket is opened with GET over HTTP/1.1"));
    }
    if !has_token(headers, &CONNECTION, "upgrade") || !has_token(headers, &UPGRADE, "websocket") {
        return Err(bad(
            "the headers `Connection: Upgrade` and `Upgrade: websocket` are needed, both",
        ));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let text = "only WebSocket version 13 is spoken here".to_owned();
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, Rejected::BadRequest, text));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map_or(&b""[..], HeaderValue::as_bytes);
    if !is_key(key) {
        return Err(bad("the header `Sec-WebSocket-Key` must be 16 bytes in base64"));
    }
    HeaderValue::try_from(tungstenite::handshake::derive_accept_key(key)).map_err(|_| bad("the key is not usable"))
}

fn identify(gate: &Gate, request: &Request) -> Result<ClientId, Refusal> {
    let edge = &gate.edge;
    if edge.is_draining() {
        let text = "this server is shutting down: try another one".to_owned();
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Rejected::Draining, text));
    }
    if edge.settings.echo {
        let id = ClientId::new(format!("echo-{:016x}", rand::random::<u64>()));
        return id.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, Rejected::BadRequest, error.to_string()));
    }
    let params = Params::parse(
        request.uri().path(),
        request.uri().query().unwrap_or_default(),
        edge.settings.params,
    );
    edge.auth.client(&params, request.headers()).map_err(|error| {
        if error.is_unauthorized() {
            Refusal::new(StatusCode::UNAUTHORIZED, Rejected::Unauthorized, error.to_string())
        } else {
            Refusal::new(StatusCode::BAD_REQUEST, Rejected::BadRequest, error.to_string())
        }
    })
}

/// 16 bytes in base64 are 22 characters and two `=`.
fn is_key(key: &[u8]) -> bool {
    let is_base64 = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    matches!(key.split_at_checked(22), Some((digits, b"==")) if digits.iter().all(is_base64))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(wanted))
}

async fn hand_over(
    gate: Gate,
    on_upgrade: OnUpgrade,
    client: ClientId,
    upgrade: Option<Box<SpanContext>>,
    since: Instant,
) {
    let tracked = gate.edge.sessions.token();
    let upgraded = match tokio::time::timeout(HAND_OVER, on_upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        // The client went away before it had its answer.
        Ok(Err(_)) | Err(_) => return,
    };
    match into_tcp(upgraded) {
        Ok((stream, read_ahead)) => {
            gate.admit(Admission {
                stream,
                read_ahead,
                client,
                upgrade,
                since,
                tracked,
            })
            .await;
        }
        Err(problem) => tracing::error!(problem, "an upgraded connection cannot be served; closing it"),
    }
}

/// Takes the TCP stream out of hyper, with what hyper had read beyond the request.
fn into_tcp(upgraded: Upgraded) -> Result<(std::net::TcpStream, Bytes), String> {
    let (io, read_ahead) = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => (parts.io, parts.read_buf),
        Err(upgraded) => match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => (parts.io, parts.read_buf),
            Err(_) => return Err("it is no plain TCP connection: serve this router over TCP".to_owned()),
        },
    };
    let stream = io.into_inner();
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok((stream.into_std().map_err(|error| error.to_string())?, read_ahead))
}

/// An upgrade that is not made.
struct Refusal {
    status: StatusCode,
    why: Rejected,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, why: Rejected, text: String) -> Self {
        Self { status, why, text }
    }

    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.text + "\n"));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixteen_bytes_in_base64_are_a_key() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for bad in [
            &b""[..],
            b"==",
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25j Q==",
            b"dGhlIHNhbXBsZSBub25jZQ===",
        ] {
            assert!(!is_key(bad));
        }
    }

    #[test]
    fn a_token_is_found_among_others_in_any_case() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert!(has_token(&headers, &CONNECTION, "upgrade"));
        assert!(!has_token(&headers, &CONNECTION, "up"));
    }
}
