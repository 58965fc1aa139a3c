//! The playground's files, part of the program: the page, its script modules, and the JavaScript SDK as built and committed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Response;
use serde_json::{Value, json};

use crate::settings::{EdgeSettings, TracesUrl};

/// Nothing from other hosts, nothing inline; WebSockets to any ws-node, and admin's API if the page may use it. A link to a trace needs
/// nothing: another page opens it.
fn policy(admin_port: Option<u16>) -> HeaderValue {
    let admin = admin_port.map_or_else(String::new, |port| format!(" http://*:{port}"));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' ws: wss:{admin}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    HeaderValue::try_from(policy).expect("a number and plain text are a header value")
}

/// Where the page asks whether, and through which port, it may tell ws-nodes to stop and resume.
const ADMIN: &str = "/playground/admin.json";
/// Where the page asks whether, and where, it may link to the traces of its requests.
const TRACES: &str = "/playground/traces.json";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
    etag: HeaderValue,
}

macro_rules! own {
    ($name:literal, $content_type:expr) => {
        (
            concat!("/playground/", $name),
            $content_type,
            include_str!(concat!("../../assets/playground/", $name)),
        )
    };
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let page = include_str!("../../assets/playground/index.html");
    // What `make sdk` builds; `make sdk-check` fails when it is stale.
    let sdk = include_str!("../../../connector-js/dist/connector.min.js");
    let files = [
        ("/", HTML, page),
        ("/playground/connector.min.js", SCRIPT, sdk),
        own!("main.js", SCRIPT),
        own!("dom.js", SCRIPT),
        own!("tap.js", SCRIPT),
        own!("traces.js", SCRIPT),
        own!("connection.js", SCRIPT),
        own!("nodes.js", SCRIPT),
        own!("chat.js", SCRIPT),
        own!("game.js", SCRIPT),
        own!("labels.js", SCRIPT),
        own!("requests.js", SCRIPT),
        own!("plot.js", SCRIPT),
        own!("frames.js", SCRIPT),
        own!("style.css", STYLE),
        own!("icon.svg", IMAGE),
    ];
    files
        .into_iter()
        .map(|(path, content_type, body)| File {
            path,
            content_type,
            body,
            etag: etag(body),
        })
        .collect()
});

/// Depends only on the content: every ws-node of one build sends the same.
fn etag(body: &str) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("hex digits in quotes are a header value")
}

/// The answer for this path; `None` if there is no file.
pub(super) fn answer(path: &str, request: &HeaderMap, settings: &EdgeSettings) -> Option<Response> {
    let traces = settings.playground_traces_url.as_ref();
    let mut response = match path {
        ADMIN => told(&json!({ "port": settings.playground_admin_port })),
        TRACES => told(&json!({ "url": traces.map(TracesUrl::as_str) })),
        _ => file(path, request)?,
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy(settings.playground_admin_port));
    // The browser checks its copy each time: a newer ws-node must not meet an older one's script.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}

fn told(settings: &Value) -> Response {
    let mut response = Response::new(Body::from(settings.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The file of this path, or that the browser's copy is still current.
fn file(path: &str, request: &HeaderMap) -> Option<Response> {
    let file = FILES.iter().find(|file| file.path == path)?;
    let known = request.get_all(IF_NONE_MATCH).iter().any(|tags| {
        let Ok(tags) = tags.to_str() else { return false };
        tags.split(',')
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.as_bytes() == file.etag.as_bytes())
    });
    let mut response = Response::new(Body::empty());
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Body::from(file.body);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    headers.insert(ETAG, file.etag.clone());
    Some(response)
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::Value as _;

    use super::*;

    /// Every path that the page, the style sheet or a script names in quotes.
    fn named(file: &File) -> Vec<String> {
        let parts = file.body.split('"').skip(1).step_by(2);
        match file.path {
            "/" => parts
                .filter_map(|part| part.strip_prefix("playground/"))
                .map(|name| format!("/playground/{name}"))
                .collect(),
            _ => parts
                .filter_map(|part| part.strip_prefix("./"))
                .map(|name| format!("/playground/{name}"))
                .collect(),
        }
    }

    #[test]
    fn every_file_that_the_playground_names_is_there_and_every_file_is_named() {
        let asked: Vec<String> = FILES.iter().flat_map(named).collect();
        for path in &asked {
            assert!(FILES.iter().any(|file| file.path == path), "{path} is not there");
        }
        for file in FILES.iter().filter(|file| file.path != "/") {
            assert!(asked.iter().any(|path| path == file.path), "{} is not used", file.path);
        }
    }

    #[test]
    fn a_browser_that_has_a_current_copy_gets_304() {
        let first = file("/", &HeaderMap::new()).expect("the page");
        assert_eq!(first.status(), StatusCode::OK);
        let etag = first.headers()[ETAG].clone();
        for (tags, status) in [
            (etag.to_str().expect("text").to_owned(), StatusCode::NOT_MODIFIED),
            (
                format!("\"x\", W/{}", etag.to_str().expect("text")),
                StatusCode::NOT_MODIFIED,
            ),
            ("\"x\"".to_owned(), StatusCode::OK),
        ] {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, HeaderValue::try_from(tags).expect("a header"));
            assert_eq!(file("/", &request).expect("the page").status(), status);
        }
        assert!(file("/playground.js", &HeaderMap::new()).is_none());
    }

    #[test]
    fn the_page_may_reach_admin_only_if_that_is_configured() {
        let policy = |port| {
            let settings = EdgeSettings {
                playground_admin_port: port,
                ..EdgeSettings::default()
            };
            let page = answer("/", &HeaderMap::new(), &settings).expect("the page");
            page.headers()[CONTENT_SECURITY_POLICY]
                .to_str()
                .expect("text")
                .to_owned()
        };
        assert!(policy(None).contains("connect-src 'self' ws: wss:;"));
        assert!(policy(Some(9100)).contains("connect-src 'self' ws: wss: http://*:9100;"));
    }

    #[tokio::test]
    async fn the_page_learns_where_traces_are_shown_and_may_reach_nothing_more() {
        let told = async |traces: Option<&str>| {
            let settings = EdgeSettings {
                playground_traces_url: traces.map(|url| TracesUrl::parse(url).expect("a URL")),
                ..EdgeSettings::default()
            };
            let answer = answer(TRACES, &HeaderMap::new(), &settings).expect("an answer");
            let policy = answer.headers()[CONTENT_SECURITY_POLICY].clone();
            let body = axum::body::to_bytes(answer.into_body(), 1000).await.expect("a body");
            (serde_json::from_slice::<Value>(&body).expect("JSON"), policy)
        };
        let (without, policy) = told(None).await;
        assert_eq!(without, json!({"url": null}));
        let jaeger = "http://127.0.0.1:16686";
        assert_eq!(told(Some(jaeger)).await, (json!({"url": jaeger}), policy));
    }
}
