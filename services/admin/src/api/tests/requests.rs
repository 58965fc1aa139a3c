//! Requests to the routes of a test, and what they answer.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::StreamExt;
use serde_json::Value;
use tower::ServiceExt;

use super::fixture::timeout;

/// An answer of the API.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Each line of a batch's answer.
    pub(super) fn lines(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/x-ndjson");
        let lines = self.text.lines();
        lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Checks that this is the problem of a client that is nowhere.
    pub(super) fn is_offline(&self) {
        self.problem(404);
        assert_eq!(self.json()["code"], "offline");
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Checks that this is a problem of this status. Returns its detail.
    pub(super) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["type"].is_string(), "{body}");
        body["detail"].as_str().expect("a detail").to_owned()
    }
}

pub(super) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = timeout(router.clone().oneshot(request)).await.expect("infallible");
    let (head, body) = response.into_parts();
    let is_stream = head
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream");
    let bytes = if is_stream {
        // It does not end by itself.
        let first = timeout(body.into_data_stream().next()).await;
        first.expect("an event").expect("a body")
    } else {
        to_bytes(body, usize::MAX).await.expect("a body")
    };
    Answer {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).expect("text"),
    }
}

/// The whole answer of a stream that ends by itself, with its kind.
pub(super) async fn stream(router: &Router, path: &str) -> (String, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = timeout(router.clone().oneshot(request)).await.expect("infallible");
    let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
    let bytes = timeout(to_bytes(response.into_body(), usize::MAX)).await;
    let text = String::from_utf8(bytes.expect("a body").to_vec());
    (kind, text.expect("text"))
}

pub(super) async fn get(router: &Router, path: &str) -> Answer {
    send(router, Request::get(path).body(Body::empty()).expect("a request")).await
}

pub(super) async fn post(router: &Router, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(body.into());
    send(router, request.expect("a request")).await
}

pub(super) async fn put(router: &Router, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::put(path)
        .header("content-type", "application/json")
        .body(body.into());
    send(router, request.expect("a request")).await
}

/// Lines of JSON.
pub(super) async fn batch(router: &Router, lines: impl Into<Body>) -> Answer {
    let request = Request::post("/api/v1/batch")
        .header("content-type", "application/x-ndjson")
        .body(lines.into());
    send(router, request.expect("a request")).await
}

pub(super) async fn delete(router: &Router, path: &str) -> Answer {
    send(router, Request::delete(path).body(Body::empty()).expect("a request")).await
}
