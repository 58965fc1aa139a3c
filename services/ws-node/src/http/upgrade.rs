//! The upgrade from HTTP to WebSocket (RFC 6455, section 4.2), by hand: the connection leaves hyper and goes to a shard.
//!
//! A request that cannot be served is rejected here, with a status and a sentence, before anything is upgraded.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{Method, StatusCode, Uri, Version};
use axum::response::Response;
use tracing::{Instrument, Span};
use wsmesh_adapter::{ClientId, Introduction, Room};
use wsmesh_bootstrap::http::client_address;
use wsmesh_protocol::Params;

use super::asking;
use super::credentials;
use super::extensions;
use super::hand_over::{Unauthenticated, Upgrading, hand_over};
use super::introduction::introduce;
use super::rejection::Rejection;
use crate::auth::{AuthError, Entry, Fault, Proof};
use crate::client::{ClientState, ConnectionGuard};
use crate::connect::{Admitted, Asked, Asker, HookMode};
use crate::engine::{Newcomer, Reservation};
use crate::gate::Gate;
use crate::limits::{Permit, Turned, UnauthenticatedPermit};
use crate::metrics::Rejected;
use crate::trace;

/// When to try again if the server, or an address, has as many connections as it may have.
const FULL: Duration = Duration::from_secs(10);

/// Longest wait for a shard to attach a client: a busier one cannot serve anybody.
const ATTACHING: Duration = Duration::from_secs(5);

/// Whether the request asks for a WebSocket, even if it is not valid.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket") || headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// Answers the request, and hands the connection over to a shard.
pub(super) async fn answer(gate: &Gate, mut request: Request) -> Response {
    let since = Instant::now();
    let span = trace::upgrade_span(gate.edge.adapter.name());
    let address = address(gate, &request);
    let admitted = match check(&request).and_then(|accept| Ok((accept, enter(gate, address)?))) {
        Ok((accept, permit)) => identify(gate, request.uri(), request.headers(), address)
            .instrument(span.clone())
            .await
            // The identification may have taken a while.
            .and_then(|identity| reject_when_draining(gate).map(|()| (accept, permit, identity))),
        Err(rejection) => Err(rejection),
    };
    let (accept, permit, (identity, mut introduction)) = match admitted {
        Ok(admitted) => admitted,
        Err(rejection) => return reject(gate, rejection, &span),
    };
    let subprotocol = credentials::subprotocol(request.headers(), &gate.edge.settings.auth.subprotocols);
    let extension = gate
        .edge
        .settings
        .deflate_above()
        .and_then(|_| extensions::deflate(request.headers()));
    let (context, guard, deflate) = (
        trace::link_target(&span),
        ConnectionGuard::new(&gate.edge, permit),
        extension.is_some(),
    );
    let upgrading = match identity {
        Identity::Known(Admitted { proof, rooms }) => {
            (introduction.claims, introduction.data) = (proof.claims, proof.data);
            let newcomer = Newcomer {
                client: proof.client,
                introduction,
                handler: ClientState::new(gate.edge.clone(), proof.grant, context),
                guard,
                since,
                deflate,
            };
            match attach(gate, newcomer, rooms).instrument(span.clone()).await {
                Ok(reservation) => Upgrading::Attached { reservation, deflate },
                Err(rejection) => return reject(gate, rejection, &span),
            }
        }
        Identity::ByMessage(permit, asked) => Upgrading::Unauthenticated(Box::new(Unauthenticated {
            permit,
            asked,
            introduction,
            context,
            since,
            guard,
            deflate,
        })),
    };
    span.record("http.response.status_code", 101_i64);
    tokio::spawn(hand_over(gate.clone(), hyper::upgrade::on(&mut request), upgrading));
    switching(accept, subprotocol, extension)
}

/// The answer 101.
fn switching(accept: HeaderValue, subprotocol: Option<HeaderValue>, extension: Option<HeaderValue>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(subprotocol) = subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    if let Some(extension) = extension {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    response
}

fn reject(gate: &Gate, rejection: Rejection, span: &Span) -> Response {
    gate.edge.metrics.entry.rejected(rejection.why);
    tracing::debug!(
        status = rejection.status.as_u16(),
        reason = rejection.why.as_str(),
        "an upgrade was rejected"
    );
    trace::upgrade_rejected(span, rejection.status.as_u16(), rejection.why.as_str());
    rejection.into_response()
}

/// Attaches the client before it is answered, so that other servers can reach it as soon as it is connected. What it is sent
/// waits for its connection.
async fn attach(gate: &Gate, newcomer: Newcomer<ClientState>, rooms: Vec<Room>) -> Result<Reservation, Rejection> {
    let client = newcomer.client.clone();
    let attaching = async {
        let mut reservation = gate.expect(newcomer).await;
        if !reservation.reachable().await {
            return None;
        }
        asking::join(&gate.edge, &client, rooms).await;
        Some(reservation)
    };
    if let Ok(Some(reservation)) = tokio::time::timeout(ATTACHING, attaching).await {
        return Ok(reservation);
    }
    let text = "this server accepts no clients now: try another one, or later".to_owned();
    Err(Rejection::new(
        StatusCode::SERVICE_UNAVAILABLE,
        Rejected::NotReady,
        text,
    ))
}

/// Checks the request by RFC 6455, section 4.2.1, and returns the value of `Sec-WebSocket-Accept`.
fn check(request: &Request) -> Result<HeaderValue, Rejection> {
    let headers = request.headers();
    let bad = |text: &str| Rejection::new(StatusCode::BAD_REQUEST, Rejected::BadRequest, text.to_owned());
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket is opened with GET over HTTP/1.1"));
    }
    if !has_token(headers, &CONNECTION, "upgrade") || !has_token(headers, &UPGRADE, "websocket") {
        return Err(bad(
            "the headers `Connection: Upgrade` and `Upgrade: websocket` are needed, both",
        ));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let text = "only WebSocket version 13 is supported".to_owned();
        return Err(Rejection::new(StatusCode::UPGRADE_REQUIRED, Rejected::BadRequest, text));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map_or(&b""[..], HeaderValue::as_bytes);
    if !is_key(key) {
        return Err(bad("the header `Sec-WebSocket-Key` must be 16 bytes in base64"));
    }
    HeaderValue::try_from(tungstenite::handshake::derive_accept_key(key)).map_err(|_| bad("the key is not usable"))
}

/// The address that the request comes from, if it is known.
fn address(gate: &Gate, request: &Request) -> Option<IpAddr> {
    // This router may be mounted in an application that does not know it.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let trusted = &gate.edge.settings.limits.trusted_proxies;
    peer.map(|peer| client_address(peer.ip(), request.headers(), trusted))
}

/// Takes a permit, before anything is done that costs more than counting.
fn enter(gate: &Gate, address: Option<IpAddr>) -> Result<Permit, Rejection> {
    reject_when_draining(gate)?;
    let edge = &gate.edge;
    edge.failures.may_try(address).map_err(|wait| {
        let text = "too many clients of this address failed to authenticate: try again later".to_owned();
        Rejection::new(StatusCode::TOO_MANY_REQUESTS, Rejected::Failing, text).retry_after(wait)
    })?;
    edge.door.enter(address).map_err(|turned| {
        let (status, why, text, wait) = match turned {
            Turned::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                Rejected::Full,
                "this server has reached its limit of clients: try another one, or later",
                FULL,
            ),
            Turned::Crowded => (
                StatusCode::TOO_MANY_REQUESTS,
                Rejected::Crowded,
                "there are too many connections from this address: close some, or try later",
                FULL,
            ),
            Turned::Rushed(wait) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Rejected::Rushed,
                "too many connections come at once: try again in a moment",
                wait,
            ),
        };
        Rejection::new(status, why, text.to_owned()).retry_after(wait)
    })
}

fn reject_when_draining(gate: &Gate) -> Result<(), Rejection> {
    if gate.edge.is_draining() {
        return Err(Rejection::draining());
    }
    Ok(())
}

/// The client that asks for a connection.
enum Identity {
    Known(Admitted),
    /// The client says in its first message who it is. What the connect hook is asked then, if there is one.
    ByMessage(UnauthenticatedPermit, Option<Box<Asked>>),
}

async fn identify(
    gate: &Gate,
    uri: &Uri,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<(Identity, Introduction), Rejection> {
    let edge = &gate.edge;
    if edge.settings.echo {
        let id = ClientId::new(format!("echo-{:016x}", rand::random::<u64>()));
        let proof = id.map(|id| (Identity::Known(Proof::of_anyone(id).into()), Introduction::default()));
        return proof.map_err(|error| Rejection::new(StatusCode::BAD_REQUEST, Rejected::BadRequest, error.to_string()));
    }
    let params = Params::parse(uri.path(), uri.query().unwrap_or_default(), edge.settings.params());
    let asker = Asker {
        params: &params,
        headers,
        address,
    };
    let identity = admit(gate, asker).await?;
    let shown = &edge.settings.context_headers;
    Ok((identity, introduce(params, headers, shown, address)))
}

/// Who the client is, as its credential or the connect hook says, or both.
async fn admit(gate: &Gate, asker: Asker<'_>) -> Result<Identity, Rejection> {
    let edge = &gate.edge;
    let origins = edge.auth.check_origin(credentials::origins(asker.headers));
    origins.map_err(|error| unproved(gate, asker.address, &error))?;
    let hook = edge.hook.as_ref();
    if let Some(hook) = hook.filter(|hook| hook.mode() == HookMode::Instead) {
        return asking::identify(edge, hook, asker).await.map(Identity::Known);
    }
    let entry = prove(gate, asker).await;
    match (entry.map_err(|error| unproved(gate, asker.address, &error))?, hook) {
        (Entry::Known(proof), None) => Ok(Identity::Known(proof.into())),
        (Entry::Known(proof), Some(hook)) => asking::confirm(edge, hook, asker, proof).await.map(Identity::Known),
        (Entry::ByMessage, hook) => {
            let permit = edge.unauthenticated.take().ok_or(AuthError::TooManyWaiting);
            let permit = permit.map_err(|error| unproved(gate, asker.address, &error))?;
            Ok(Identity::ByMessage(
                permit,
                hook.map(|hook| hook.for_later(asker).into()),
            ))
        }
    }
}

async fn prove(gate: &Gate, asker: Asker<'_>) -> Result<Entry, AuthError> {
    let edge = &gate.edge;
    let credential = credentials::find(asker.params, asker.headers, edge.auth.cookie());
    let limit = edge.settings.request_timeout;
    edge.auth
        .enter(&edge.adapter, credential, asker.params.one("id"), limit)
        .await
}

/// The client has not proved who it is.
fn unproved(gate: &Gate, address: Option<IpAddr>, error: &AuthError) -> Rejection {
    let edge = &gate.edge;
    edge.metrics.entry.auth_failed(error.reason());
    let fault = error.fault();
    if fault != Fault::Server {
        edge.failures.count(address);
    }
    let (status, why) = match fault {
        Fault::Request => (StatusCode::BAD_REQUEST, Rejected::BadRequest),
        Fault::Credential => (StatusCode::UNAUTHORIZED, Rejected::Unauthorized),
        Fault::Origin => (StatusCode::FORBIDDEN, Rejected::Origin),
        Fault::Server => (StatusCode::SERVICE_UNAVAILABLE, Rejected::NotReady),
    };
    Rejection::new(status, why, error.to_string())
}

/// Whether this is 16 bytes in base64: 22 characters and two `=`.
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
