//! `/docs`: Swagger UI, which shows `/openapi.json` and sends requests of the reader. Its files are part of the binary. It has a
//! content security policy of its own, which lets it run its own scripts and call this admin, and nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::problem::Problem;

/// Where the description is, seen from the page: it works behind a path prefix, too.
const DESCRIPTION: &str = "../openapi.json";
/// Swagger UI draws its icons from data URLs and sets styles in elements. Nothing comes from other hosts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The files change with the version of admin only.
const CACHE: &str = "public, max-age=3600";

/// The page and its files.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let config = Arc::new(Config::from(DESCRIPTION).validator_url("none"));
    let index = config.clone();
    Router::new()
        .route("/docs", get(async || redirect()))
        .route("/docs/", get(async move || file("index.html", index.clone())))
        .route(
            "/docs/{file}",
            get(async move |Path(name): Path<String>| file(&name, config.clone())),
        )
        .layer(middleware::map_response(with_policy))
}

/// Relative, as a proxy may put a prefix before the path.
fn redirect() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "docs/")]).into_response()
}

fn file(name: &str, config: Arc<Config<'static>>) -> Response {
    // The configuration is made of constants, so that it can always be written into the file.
    let Ok(Some(file)) = utoipa_swagger_ui::serve(name, config) else {
        return Problem::no_route().into_response();
    };
    let mut response = file.bytes.into_owned().into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&file.content_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if file.gzpipped {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    response
}

async fn with_policy(mut response: Response) -> Response {
    let policy = HeaderValue::from_static(POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
