//! Which web pages may use the API while it needs no token (demo profile): pages of the same host, such as a ws-node's
//! playground. Pages of other hosts may not: in a browser on this machine they could reach this port. Nor may pages whose host's name
//! was made to lead here (DNS rebinding): only addresses, and names that nobody can register, are names of this host.

use std::net::IpAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::idempotency;
use crate::paths::ROOT;
use crate::problem::Problem;

/// Ends of names that nobody can register.
const INSIDE: [&str; 5] = [".localhost", ".local", ".internal", ".svc", ".test"];

/// Rejects pages of other hosts, and lets browsers give the answers to pages of the same host.
pub(super) fn guard(router: Router) -> Router {
    let same_host = AllowOrigin::predicate(|origin, request| is_same_host(origin, &request.headers, &request.uri));
    let cors = CorsLayer::new()
        .allow_origin(same_host)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([CONTENT_TYPE, HeaderName::from_static(idempotency::HEADER)]);
    router.layer(middleware::from_fn(refuse_others)).layer(cors)
}

/// Middleware: browsers name the page's origin in requests to another origin that change something, or whose answer it may read. Of
/// others, such as the source of an image, they say only that the page is elsewhere.
async fn refuse_others(request: Request, next: Next) -> Response {
    let (headers, uri) = (request.headers(), request.uri());
    let host = host(headers, uri);
    if host.is_some_and(|host| !leads_only_here(host.host())) {
        let detail = "this API is open to everyone, so it is used by an address, by localhost, or by a name inside the cluster: give it \
                      a token (--token-file) to use it by this name";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    let is_elsewhere = origins.peek().is_none() && uri.path().starts_with(ROOT) && is_of_another_page(headers);
    if !is_elsewhere && origins.all(|origin| is_same_host(origin, headers, uri)) {
        return next.run(request).await;
    }
    let detail =
        "pages of other hosts may not use this API while it is open to everyone: give it a token (--token-file)";
    Problem::new(StatusCode::FORBIDDEN, detail).into_response()
}

/// Whether a browser says that a page of another origin sends the request.
fn is_of_another_page(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.any(|site| site == "cross-site" || site == "same-site")
}

/// Whether only this host, or one in its network, may have this name: no page of a stranger is there.
fn leads_only_here(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if bare.unwrap_or(host).parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    // Names of services, as in Compose and Kubernetes, have no dot, or an end that nobody can register.
    !name.contains('.') || INSIDE.iter().any(|end| name.ends_with(end))
}

/// The host that a request was sent to.
fn host(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.or_else(|| uri.authority().cloned())
}

/// Whether a page comes from the host that the request was sent to. Its port does not matter.
fn is_same_host(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let host = host(headers, uri);
    match (origin.as_ref().and_then(Uri::host), host.as_ref().map(Authority::host)) {
        (Some(page), Some(here)) => page.eq_ignore_ascii_case(here),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_can_register_lead_only_here() {
        for here in [
            "127.0.0.1",
            "[::1]",
            "192.0.2.7",
            "localhost",
            "admin",
            "LOCALHOST",
            "a.localhost",
            "admin.shop.svc",
            "admin.shop.svc.cluster.local",
            "admin.shop.svc.cluster.local.",
            "host.docker.internal",
        ] {
            assert!(leads_only_here(here), "{here}");
        }
        for elsewhere in [
            "evil.example.org",
            "127.0.0.1.evil.org",
            "localhost.evil.org",
            "xlocal.org",
            "svc.org.",
        ] {
            assert!(!leads_only_here(elsewhere), "{elsewhere}");
        }
    }

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
