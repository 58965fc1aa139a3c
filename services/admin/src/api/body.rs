//! Request bodies that may be left out.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// A JSON body, or no body at all, which means an empty object and needs no content type.
pub(super) struct OrEmpty<T>(pub(super) T);

impl<S, T> FromRequest<S> for OrEmpty<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(head.clone(), body), state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json(&head.headers) {
            return Err(Problem::not_json());
        }
        Ok(Self(Json::from_bytes(&bytes)?.0))
    }
}

/// `application/json` with any parameters, or a type that ends in `+json`: what axum's `Json` accepts.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}
