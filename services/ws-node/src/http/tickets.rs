//! `POST /api/v1/tickets` on the ops port: an application's backend, which knows the ticket key, gets a ticket for one of its
//! clients from any ws-node.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::response::Response;
use axum::routing::post;
use axum_extra::TypedHeader;
use axum_extra::headers::Authorization;
use axum_extra::headers::authorization::Bearer;
use axum_extra::typed_header::TypedHeaderRejection;
use serde::Deserialize;
use serde_json::{Value, json};
use wsmesh_adapter::ClientId;

use crate::auth::tickets::{DEFAULT_TTL, LONGEST_TTL, Voucher};
use crate::edge::Edge;

/// Largest request.
const MOST_BYTES: usize = 16 * 1024;

/// The body of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    client: String,
    /// How long the ticket is valid, in milliseconds.
    ttl_ms: Option<u64>,
    rooms: Option<Value>,
    events: Option<Value>,
    publish: Option<Value>,
    stay_ms: Option<u64>,
}

/// The `Authorization` header, or why there is none that can be read.
type Shown = Result<TypedHeader<Authorization<Bearer>>, TypedHeaderRejection>;

/// The route; empty if there is no ticket key.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    if edge.auth.tickets().is_none() {
        return Router::new();
    }
    Router::new().route("/api/v1/tickets", post(issue)).with_state(edge)
}

async fn issue(State(edge): State<Arc<Edge>>, shown: Shown, body: Body) -> Response {
    match issued(&edge, shown, body).await {
        Ok(ticket) => answer(StatusCode::CREATED, &ticket),
        Err((status, problem)) => answer(status, &json!({ "error": problem })),
    }
}

type Rejection = (StatusCode, String);

async fn issued(edge: &Edge, shown: Shown, body: Body) -> Result<Value, Rejection> {
    let tickets = edge.auth.tickets().ok_or((
        StatusCode::NOT_FOUND,
        "this server issues no tickets: it has no --ticket-key-file".to_owned(),
    ))?;
    let may_ask = shown.is_ok_and(|TypedHeader(Authorization(bearer))| tickets.is_api_key(bearer.token().as_bytes()));
    if !may_ask {
        let why = "send the key of --ticket-key-file: Authorization: Bearer KEY".to_owned();
        return Err((StatusCode::UNAUTHORIZED, why));
    }
    if edge.is_draining() {
        // Its tickets end with it.
        return Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "this server is shutting down: ask another one".to_owned(),
        ));
    }
    let too_large = |_| {
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("at most {MOST_BYTES} bytes are read"),
        )
    };
    let body = to_bytes(body, MOST_BYTES).await.map_err(too_large)?;
    let (voucher, ttl) = read(&body).map_err(|problem| (StatusCode::BAD_REQUEST, problem))?;
    let until = jiff::Timestamp::now() + ttl;
    let ticket = tickets
        .issue(edge.adapter.name(), voucher, ttl, body.len())
        .ok_or_else(|| {
            let why = "too many tickets are outstanding: try again, or ask another server".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, why)
        })?;
    Ok(json!({"ticket": ticket, "expiresAt": format!("{until:.3}")}))
}

fn read(body: &[u8]) -> Result<(Voucher, Duration), String> {
    let example = r#"write for example {"client": "888", "ttlMs": 30000}"#;
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| format!("{error}: {example}"))?;
    let ttl = wanted.ttl_ms.map_or(DEFAULT_TTL, Duration::from_millis);
    if ttl.is_zero() || ttl > LONGEST_TTL {
        return Err(format!(
            "ttlMs is out of bounds: write 1 to {}",
            LONGEST_TTL.as_millis()
        ));
    }
    let voucher = Voucher {
        client: ClientId::new(wanted.client).map_err(|error| error.to_string())?,
        rooms: wanted.rooms,
        events: wanted.events,
        publish: wanted.publish,
        stay_ms: wanted.stay_ms,
    };
    // A voucher that cannot be read is rejected now, not when its client connects.
    voucher.clone().into_proof().map_err(|error| error.to_string())?;
    Ok((voucher, ttl))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
