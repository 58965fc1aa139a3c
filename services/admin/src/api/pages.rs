//! Pages that are open to everyone and never change: the index page and the description of the API.

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use utoipa::openapi::OpenApi;

/// `GET /`
pub(super) async fn index() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        include_str!("../../pages/index.html"),
    )
}

/// `GET /style.css`
pub(super) async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("../../pages/style.css"),
    )
}

/// `GET /openapi.json`
pub(super) fn openapi<S: Clone + Send + Sync + 'static>(description: &OpenApi) -> MethodRouter<S> {
    // Maps with names as keys, and numbers: there is nothing that JSON cannot have.
    let json = Bytes::from(serde_json::to_vec(description).unwrap_or_default());
    get(async move || ([(header::CONTENT_TYPE, "application/json")], json.clone()))
}
