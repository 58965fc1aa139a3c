//! Request bodies: JSON, JSON that may be left out, and lines of JSON. What a body is, is read from the headers; anything but plain
//! UTF-8 is rejected with what to send instead.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::bodies::Allowance;
use super::limits::MAX_BODY_BYTES;
use crate::json::Object;
use crate::problem::Problem;

/// A body that is a JSON object.
pub(super) struct JsonBody<T>(pub(super) T);

/// A body that is any JSON, kept as it is written.
pub(super) struct AnyJson(pub(super) Box<RawValue>);

/// A body that is a JSON object, or no body at all, which means an empty object and needs no content type.
pub(super) struct OrEmpty<T>(pub(super) T);

/// A body of lines, each of which is JSON. The lines are not read here.
pub(super) struct Lines(pub(super) Bytes);

impl<S, T> FromRequest<S> for JsonBody<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (headers, bytes) = whole(request).await?;
        check(&headers, is_json, Problem::not_json)?;
        let Json(Object(body)) = Json::from_bytes(&bytes)?;
        Ok(Self(body))
    }
}

impl<S: Send + Sync> FromRequest<S> for AnyJson {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (headers, bytes) = whole(request).await?;
        check(&headers, is_json, Problem::not_json)?;
        Ok(Self(Json::from_bytes(&bytes)?.0))
    }
}

impl<S, T> FromRequest<S> for OrEmpty<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (headers, bytes) = whole(request).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        check(&headers, is_json, Problem::not_json)?;
        let Json(Object(body)) = Json::from_bytes(&bytes)?;
        Ok(Self(body))
    }
}

impl<S: Send + Sync> FromRequest<S> for Lines {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (headers, bytes) = whole(request).await?;
        check(&headers, is_lines, Problem::not_lines)?;
        Ok(Self(bytes))
    }
}

/// The headers, and the body whole.
pub(super) async fn whole(request: Request) -> Result<(HeaderMap, Bytes), Problem> {
    let headers = request.headers().clone();
    let most = request
        .extensions()
        .get::<Allowance>()
        .map_or(MAX_BODY_BYTES, |allowance| allowance.most);
    match Bytes::from_request(request, &()).await {
        Ok(bytes) => Ok((headers, bytes)),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::body_too_large(most)),
        Err(rejection) => Err(rejection.into()),
    }
}

/// Whether the body is of a kind, in UTF-8 and not compressed.
fn check(headers: &HeaderMap, is_kind: impl Fn(&str) -> bool, or: impl Fn() -> Problem) -> Result<(), Problem> {
    let value = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let kind = value(header::CONTENT_TYPE).to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    if !is_kind(parts.next().unwrap_or_default()) {
        return Err(or());
    }
    let charset = parts.find_map(|part| part.strip_prefix("charset="));
    let is_utf8 = charset.is_none_or(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    let encoding = value(header::CONTENT_ENCODING);
    if !is_utf8 || !(encoding.is_empty() || encoding.eq_ignore_ascii_case("identity")) {
        return Err(Problem::not_plain());
    }
    Ok(())
}

/// `application/json`, or a type that ends in `+json`.
fn is_json(kind: &str) -> bool {
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// The names in use for lines of JSON; none is registered.
fn is_lines(kind: &str) -> bool {
    matches!(
        kind,
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines"
    )
}
