//! What is open to everyone and never changes: the files of the dashboard, and the description of the API. The dashboard uses the
//! API like any other caller, so its files tell nothing about a cluster.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use serde_json::json;
use utoipa::openapi::OpenApi;

use crate::problem::Problem;

/// Nothing from other hosts, nothing inline, and no text becomes markup. The plots set styles through the CSSOM, which is allowed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

const PAGE: &str = include_str!("../../dashboard/index.html");

struct File {
    /// Below `/dashboard/`.
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

macro_rules! file {
    ($path:literal, $content_type:expr) => {
        File {
            path: $path,
            content_type: $content_type,
            body: include_str!(concat!("../../dashboard/", $path)),
        }
    };
}

static FILES: &[File] = &[
    file!("main.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("stream.js", SCRIPT),
    file!("live.js", SCRIPT),
    file!("login.js", SCRIPT),
    file!("caller.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("words.js", SCRIPT),
    file!("notice.js", SCRIPT),
    file!("dialog.js", SCRIPT),
    file!("theme.js", SCRIPT),
    file!("views.js", SCRIPT),
    file!("status.js", SCRIPT),
    file!("findings.js", SCRIPT),
    file!("overview.js", SCRIPT),
    file!("matrix.js", SCRIPT),
    file!("fold.js", SCRIPT),
    file!("lag.js", SCRIPT),
    file!("history.js", SCRIPT),
    file!("plots.js", SCRIPT),
    file!("table.js", SCRIPT),
    file!("servers.js", SCRIPT),
    file!("levels.js", SCRIPT),
    file!("nodes.js", SCRIPT),
    file!("preflight.js", SCRIPT),
    file!("scale.js", SCRIPT),
    file!("jobs.js", SCRIPT),
    file!("audit.js", SCRIPT),
    file!("clients.js", SCRIPT),
    file!("watch.js", SCRIPT),
    file!("rooms.js", SCRIPT),
    file!("forms.js", SCRIPT),
    file!("sending.js", SCRIPT),
    file!("style.css", STYLE),
    file!("panels.css", STYLE),
    file!("icon.svg", IMAGE),
    file!("uplot/uPlot.iife.min.js", SCRIPT),
    file!("uplot/uPlot.min.css", STYLE),
];

/// The routes of the pages. `login`: whether the API needs a token, so that the dashboard asks for one before it sends anything.
pub(super) fn router<S: Clone + Send + Sync + 'static>(login: Login) -> Router<S> {
    Router::new()
        .route("/", get(async || document(HTML, PAGE)))
        .route(
            "/dashboard/access.json",
            get(async move || Json(json!({ "login": login == Login::Needed }))),
        )
        .route("/dashboard/{*path}", get(file))
}

/// Whether callers of the API need a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    Needed,
    Open,
}

/// `GET /dashboard/{path}`
async fn file(Path(path): Path<String>) -> Result<impl IntoResponse, Problem> {
    let file = FILES
        .iter()
        .find(|file| file.path == path)
        .ok_or_else(Problem::no_route)?;
    Ok(document(file.content_type, file.body))
}

fn document(content_type: &'static str, body: &'static str) -> ([(HeaderName, HeaderValue); 2], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (headers, body)
}

/// `GET /openapi.json`
pub(super) fn openapi<S: Clone + Send + Sync + 'static>(description: &OpenApi) -> MethodRouter<S> {
    // Maps with names as keys, and numbers: there is nothing that JSON cannot have.
    let json = Bytes::from(serde_json::to_vec(description).unwrap_or_default());
    get(async move || ([(header::CONTENT_TYPE, "application/json")], json.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file that the page or a script names in quotes.
    fn named(body: &'static str, before: &str) -> Vec<&'static str> {
        let parts = body.split('"').skip(1).step_by(2);
        parts.filter_map(|part| part.strip_prefix(before)).collect()
    }

    #[test]
    fn every_file_that_the_dashboard_names_is_there_and_every_file_is_named() {
        let scripts = FILES
            .iter()
            .filter(|file| file.content_type == SCRIPT && !file.path.contains('/'));
        let mut asked = named(PAGE, "dashboard/");
        asked.extend(scripts.flat_map(|file| named(file.body, "./")));
        for path in &asked {
            assert!(FILES.iter().any(|file| file.path == *path), "{path} is not there");
        }
        for file in FILES {
            assert!(asked.contains(&file.path), "{} is not used", file.path);
        }
    }

    #[test]
    fn no_script_makes_markup_of_text_and_nothing_is_inline() {
        for file in FILES.iter().filter(|file| file.content_type == SCRIPT) {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!file.body.contains(word), "{} uses {word}", file.path);
            }
        }
        for word in ["style=", "onclick=", "onload=", "<style", "://"] {
            assert!(!PAGE.replace("redis://", "").contains(word), "the page has {word}");
        }
        assert_eq!(
            PAGE.matches("<script").count(),
            PAGE.matches("<script src=\"dashboard/").count()
        );
    }
}
