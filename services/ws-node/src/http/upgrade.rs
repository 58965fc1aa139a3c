//! The upgrade from HTTP to WebSocket (RFC 6455, section 4.2), by hand: the connection leaves hyper and goes to a shard.
//!
//! Everything that can be refused is refused here, with a status and a sentence, before anything is upgraded.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{Method, StatusCode, Uri, Version};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use opentelemetry::trace::SpanContext;
use tokio::net::TcpStream;
use tracing::Instrument;
use wsmesh_protocol::Params;

use crate::auth::first_message::{self, Arrival};
use crate::auth::{Answer, Entry, SUBPROTOCOL, offers_subprotocol};
use crate::edge::{Edge, Gate};
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
pub(super) async fn answer(gate: &Gate, mut request: Request) -> Response {
    let since = Instant::now();
    let span = trace::upgrade_span();
    let accept = check(&request);
    let admitted = match accept {
        Ok(accept) => identify(gate, request.uri(), request.headers())
            .instrument(span.clone())
            .await
            .map(|entry| (accept, entry)),
        Err(refusal) => Err(refusal),
    };
    let (accept, entry) = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            gate.edge.metrics.rejected(refusal.why);
            span.record("http.response.status_code", refusal.status.as_u16());
            return refusal.into_response();
        }
    };
    span.record("http.response.status_code", 101);
    let context = trace::link_target(&span);
    let is_offered = offers_subprotocol(request.headers());
    let on_upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(hand_over(gate.clone(), on_upgrade, entry, context, since));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if is_offered {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
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

async fn identify(gate: &Gate, uri: &Uri, headers: &HeaderMap) -> Result<Entry, Refusal> {
    let edge = &gate.edge;
    if edge.is_draining() {
        let text = "this server is shutting down: try another one".to_owned();
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Rejected::Draining, text));
    }
    let params = Params::parse(uri.path(), uri.query().unwrap_or_default(), edge.settings.params);
    let limit = edge.settings.request_timeout;
    let entered = edge.auth.enter(&edge.adapter, &params, headers, limit).await;
    entered.map_err(|error| {
        edge.metrics.auth_failed(error.reason());
        let (status, why) = match error.answer() {
            Answer::BadRequest => (StatusCode::BAD_REQUEST, Rejected::BadRequest),
            Answer::Unauthorized => (StatusCode::UNAUTHORIZED, Rejected::Unauthorized),
            Answer::Forbidden => (StatusCode::FORBIDDEN, Rejected::Origin),
            Answer::TryAgain => (StatusCode::SERVICE_UNAVAILABLE, Rejected::NotReady),
        };
        Refusal::new(status, why, error.to_string())
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

async fn hand_over(gate: Gate, on_upgrade: OnUpgrade, entry: Entry, upgrade: Option<Box<SpanContext>>, since: Instant) {
    let tracked = gate.edge.sessions.token();
    let upgraded = match tokio::time::timeout(HAND_OVER, on_upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        // The client went away before it had its answer.
        Ok(Err(_)) | Err(_) => return,
    };
    match into_tcp(upgraded, &gate.edge, entry).await {
        Ok(None) => {}
        Ok(Some((stream, arrival))) => {
            gate.admit(Admission {
                stream,
                read_ahead: arrival.read_ahead,
                client: arrival.proof.client,
                grant: arrival.proof.grant,
                welcome: arrival.welcome,
                upgrade,
                since,
                tracked,
            })
            .await;
        }
        Err(problem) => tracing::error!(problem, "an upgraded connection cannot be served; closing it"),
    }
}

/// Takes the TCP stream out of hyper, and waits for who is to say who it is; None if it did not.
async fn into_tcp(
    upgraded: Upgraded,
    edge: &Edge,
    entry: Entry,
) -> Result<Option<(std::net::TcpStream, Arrival)>, String> {
    let (io, read_ahead) = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => (parts.io, parts.read_buf),
        Err(upgraded) => match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => (parts.io, parts.read_buf),
            Err(_) => return Err("it is no plain TCP connection: serve this router over TCP".to_owned()),
        },
    };
    let mut stream = io.into_inner();
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let arrival = match entry {
        Entry::Known(proof) => Some(Arrival {
            proof,
            read_ahead,
            welcome: None,
        }),
        Entry::Waiting(place) => first_message::wait(edge, &mut stream, read_ahead, place).await,
    };
    let Some(arrival) = arrival else { return Ok(None) };
    Ok(Some((stream.into_std().map_err(|error| error.to_string())?, arrival)))
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
