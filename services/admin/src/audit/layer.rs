//! Records each request that may change something, when it has ended: also if it was rejected, or its caller went away before.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use wsmesh_adapter::remote_context;

use super::book::Audit;
use super::subject::{Pending, Subject};
use crate::access::Caller;
use crate::metrics::{method_label, route_label};
use crate::paths::below_root;

/// Middleware: records requests. Inside of what finds their callers, outside of everything that may reject them.
pub(crate) async fn follow(
    State(audit): State<Audit>,
    route: Option<MatchedPath>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    caller: Caller,
    mut request: Request,
    next: Next,
) -> Response {
    let pattern = route_label(route.as_ref());
    let Some(action) = action(request.method(), pattern) else {
        return next.run(request).await;
    };
    let subject = Subject::of(Pending {
        audit,
        caller,
        action,
        target: target(pattern, params.as_ref().ok()),
        trace_id: named_trace(request.headers()),
    });
    request.extensions_mut().insert(subject.clone());
    let response = next.run(request).await;
    subject.answered(response.status());
    response
}

/// What a route does. None: nothing is changed. A route that is not listed here is called by its method and path.
fn action(method: &Method, pattern: &str) -> Option<String> {
    let path = below_root(pattern)?;
    let method = method_label(method);
    let name = match (method, path) {
        ("GET" | "HEAD" | "OPTIONS", _) | ("POST", "/clients/query") => return None,
        ("POST", "/broadcast") => "broadcast",
        ("POST", "/rooms/{namespace}/{id}/messages") => "send to room",
        ("POST", "/clients/{id}/messages") => "send to client",
        ("POST", "/clients/messages") => "send to clients",
        ("POST", "/clients/{id}/requests") => "ask client",
        ("POST", "/clients/{id}/disconnect") => "disconnect",
        ("PUT", "/clients/{id}/data") => "set data",
        ("DELETE", "/clients/{id}/data") => "remove data",
        ("PUT", "/clients/{id}/rooms/{namespace}/{room}") => "join",
        ("DELETE", "/clients/{id}/rooms/{namespace}/{room}") => "leave",
        ("DELETE", "/rooms/{namespace}/{id}") => "close room",
        ("POST", "/batch") => "batch",
        ("POST", "/nodes") => "add node",
        ("POST", "/nodes/preflight") => "check node",
        ("POST", "/nodes/scale") => "scale nodes",
        ("DELETE", "/nodes/{id}") => "remove node",
        ("POST", "/servers/{name}/drain") => "drain",
        ("POST", "/servers/{name}/resume") => "resume",
        ("POST", "/servers/{name}/rebalance") => "rebalance",
        ("POST", "/servers/{name}/log-level" | "/log-level") => "set log level",
        _ => return Some(format!("{method} {path}")),
    };
    Some(name.to_owned())
}

/// The trace of W3C `traceparent`.
fn named_trace(headers: &HeaderMap) -> Option<String> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    Some(remote_context(parent, None)?.trace_id().to_string())
}

/// What a path names: `client ann, room chat/lobby`.
fn target(pattern: &str, params: Option<&RawPathParams>) -> String {
    let mut values = params.into_iter().flat_map(RawPathParams::iter).map(|(_, value)| value);
    let mut text = String::new();
    let mut noun = "";
    let mut is_first_of_noun = true;
    for segment in pattern.split('/') {
        if !segment.starts_with('{') {
            (noun, is_first_of_noun) = (segment.strip_suffix('s').unwrap_or(segment), true);
            continue;
        }
        let Some(value) = values.next() else { break };
        match is_first_of_noun {
            true if text.is_empty() => text = format!("{noun} {value}"),
            true => text = format!("{text}, {noun} {value}"),
            false => text = format!("{text}/{value}"),
        }
        is_first_of_noun = false;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_is_not_recorded_and_unknown_changes_are() {
        let action = |method: Method, path: &str| action(&method, path);
        assert_eq!(action(Method::GET, "/api/v1/nodes"), None);
        assert_eq!(action(Method::POST, "/api/v1/clients/query"), None);
        assert_eq!(action(Method::POST, "none"), None);
        assert_eq!(action(Method::POST, "/api/v1/nodes"), Some("add node".to_owned()));
        assert_eq!(action(Method::POST, "/admin/api/v1/nodes"), Some("add node".to_owned()));
        assert_eq!(action(Method::POST, "/api/v1/broadcast"), Some("broadcast".to_owned()));
        assert_eq!(
            action(Method::PATCH, "/api/v1/moons/{id}"),
            Some("PATCH /moons/{id}".to_owned())
        );
    }
}
