//! Pages that are open to everyone and never change: the index page and the description of the API.

use axum::http::header;
use axum::response::IntoResponse;

/// The description of the API: OpenAPI 3.1. Written by hand; a test compares it with the real answers.
pub(crate) const OPENAPI: &str = include_str!("../../openapi.json");

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
pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}
