//! Which web pages may use the API while it needs no token (demo profile): pages of the same host, such as a ws-node's
//! playground. Pages of other hosts may not: in a browser on this machine they could reach this port.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::idempotency;
use crate::problem::Problem;

/// Rejects pages of other hosts, and lets browsers give the answers to pages of the same host.
pub(super) fn guard(router: Router) -> Router {
    let same_host = AllowOrigin::predicate(|origin, request| is_same_host(origin, &request.headers, &request.uri));
    let cors = CorsLayer::new()
        .allow_origin(same_host)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([CONTENT_TYPE, HeaderName::from_static(idempotency::HEADER)]);
    router.layer(middleware::from_fn(refuse_others)).layer(cors)
}

/// Middleware: browsers name the page's origin in requests to another origin. A request without it does not come from such a page.
async fn refuse_others(request: Request, next: Next) -> Response {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    if origins.all(|origin| is_same_host(origin, request.headers(), request.uri())) {
        return next.run(request).await;
    }
    let detail =
        "pages of other hosts may not use this API while it is open to everyone: give it a token (--token-file)";
    Problem::new(StatusCode::FORBIDDEN, detail).into_response()
}

/// Whether a page comes from the host that the request was sent to. Its port does not matter.
fn is_same_host(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let host = host.as_ref().or(uri.authority()).map(Authority::host);
    match (origin.as_ref().and_then(Uri::host), host) {
        (Some(page), Some(here)) => page.eq_ignore_ascii_case(here),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_page_decides_and_its_port_does_not_matter() {
        let same = |origin: &'static str, host: &'static str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            is_same_host(&HeaderValue::from_static(origin), &headers, &Uri::from_static("/"))
        };
        assert!(same("http://127.0.0.1:9000", "127.0.0.1:9100"));
        assert!(same("http://[::1]:9000", "[::1]:9100"));
        assert!(same("https://Demo.example.org", "demo.example.org:9100"));
        for origin in [
            "http://evil.example.org:9100",
            "http://127.0.0.2:9100",
            "null",
            "",
            "file://",
            "http://127.0.0.1.evil.org",
        ] {
            assert!(!same(origin, "127.0.0.1:9100"), "{origin}");
        }
        let headers = HeaderMap::new();
        let origin = HeaderValue::from_static("http://a:1");
        assert!(
            is_same_host(&origin, &headers, &Uri::from_static("http://a:2/")),
            "HTTP/2 has no header for it"
        );
        assert!(!is_same_host(&origin, &headers, &Uri::from_static("/")));
    }
}
