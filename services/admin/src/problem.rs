//! Errors of the HTTP API: every one of them is `application/problem+json` (RFC 9457) with a detail that says what to do.
//! Never carries a token, a payload or a backtrace.

mod causes;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use wsmesh_adapter::{ClientId, NodeId};

use crate::gather::{FailedServer, MissingServer, RefusedNode};

/// The code of a repeat that comes while the first request is still running.
pub(crate) const RUNNING: &str = "running";

/// One error as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    /// For programs, where the status alone does not tell.
    code: Option<&'static str>,
    detail: String,
    effect: Effect,
    /// More about a node that was not added.
    refused: Option<Box<RefusedNode>>,
}

/// What had been done when a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: trying again, with the same idempotency key, may help.
    None,
    /// Perhaps something, or trying again does not help.
    Unknown,
}

/// RFC 9457.
#[derive(Serialize, ToSchema)]
struct Body<'a> {
    r#type: &'static str,
    /// The words of the status.
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For programs, where the status alone does not tell: offline (the client is connected nowhere), gone, no-answer, unknown (not
    /// every server said whether it has the client), running, key-reused, answer-forgotten (it was carried out, or begun),
    /// answer-too-large, too-many-keys, too-many-streams, too-many-watches, overloaded, overdue, preflight (a server could not use the node).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    code: Option<&'static str>,
    /// What is wrong, and what to do.
    detail: &'a str,
    /// Of a node that was not added (code preflight): its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    node: Option<&'a NodeId>,
    /// Of a node that was not added: the servers that could not use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<FailedServer>, required = false)]
    servers: Option<&'a [FailedServer]>,
    /// Of a node that was not added: the servers that did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<MissingServer>, required = false)]
    missing: Option<&'a [MissingServer]>,
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Body::schema()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Body::schemas(schemas);
    }
}

impl Problem {
    /// An error of this status; `detail` is one sentence for the caller.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: None,
            detail: detail.into(),
            effect: Effect::Unknown,
            refused: None,
        }
    }

    /// The error with a code for programs.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// The error of a request of which nothing was done.
    pub(crate) fn untouched(self) -> Self {
        Self {
            effect: Effect::None,
            ..self
        }
    }

    /// The error of a request of which a part was done.
    pub(crate) fn begun(self) -> Self {
        Self {
            effect: Effect::Unknown,
            ..self
        }
    }

    /// Whether nothing was done.
    pub(crate) fn is_untouched(&self) -> bool {
        self.effect == Effect::None
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Its sentence for the caller.
    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The request is wrong: it fails again unless it is changed.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Some server could not use a node, so it was not added.
    pub(crate) fn refused_node(refused: RefusedNode) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, refused.detail())
            .with_code("preflight")
            .untouched();
        Self {
            refused: Some(Box::new(refused)),
            ..problem
        }
    }

    /// Nothing is served at this path.
    pub(crate) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "there is nothing at this path; GET /openapi.json lists all paths",
        )
    }

    /// The path exists, but not with this method.
    pub(crate) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this path does not support the method; the Allow header names those that it supports",
        )
    }

    /// The query has a parameter that the route does not take.
    pub(crate) fn unknown_parameter(name: &str, known: &[&str]) -> Self {
        let known = match known {
            [] => "this route takes none".to_owned(),
            names => format!("this route takes {}", names.join(", ")),
        };
        Self::bad_request(format!("unknown query parameter `{name}`: {known}"))
    }

    /// The request does not say that its body is lines of JSON.
    pub(crate) fn not_lines() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send one command a line, as JSON, with the header content-type: application/x-ndjson",
        )
    }

    /// The body is larger than this route takes.
    pub(crate) fn body_too_large(most: u32) -> Self {
        let detail = format!("the body has more than {most} bytes, the most that are taken here: send less at once");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// The body is in another encoding than UTF-8, or compressed.
    pub(crate) fn not_plain() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body in UTF-8 and not compressed: without content-encoding, and without a charset or with charset=utf-8",
        )
    }

    /// The request does not say that its body is JSON.
    pub(crate) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as JSON, with the header content-type: application/json",
        )
    }
}

/// Errors of commands about clients.
impl Problem {
    /// A client is connected nowhere.
    pub(crate) fn offline(client: &ClientId) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("client {client} is not connected to any server; nothing was sent or changed"),
        )
        .with_code("offline")
        .untouched()
    }

    /// None of several clients is connected.
    pub(crate) fn all_offline(clients: &[ClientId]) -> Self {
        match clients {
            [client] => Self::offline(client),
            _ => Self::new(
                StatusCode::NOT_FOUND,
                format!(
                    "none of the {} clients is connected to any server; nothing was sent",
                    clients.len()
                ),
            )
            .with_code("offline")
            .untouched(),
        }
    }

    /// A client answered a request with something that cannot be read.
    pub(crate) fn unreadable_answer(client: &ClientId) -> Self {
        let detail = format!("the answer of client {client} cannot be read: do all servers have the same version?");
        Self::new(StatusCode::BAD_GATEWAY, detail)
    }

    /// A line of a batch is too long.
    pub(crate) fn line_too_long(bytes: usize, most: usize) -> Self {
        let detail = format!("the line has {bytes} bytes: at most {most} are allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// The time of a batch was over before this line was begun.
    pub(crate) fn batch_is_over() -> Self {
        let detail =
            "the batch took too long, and this command was not carried out; send smaller batches, or smaller timeoutMs";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_code("overdue")
    }

    /// The results of a batch were too many bytes before this line was begun.
    pub(crate) fn batch_too_large() -> Self {
        let detail = "the answer of the batch is too large, and this command was not carried out: send smaller batches";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail).with_code("answer-too-large")
    }

    /// The result of this line does not fit in the answer of its batch.
    pub(crate) fn result_left_out() -> Self {
        let detail = "the result of this command is left out, as the answer of the batch is too large: the command may have been \
                      carried out; send smaller batches";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail).with_code("answer-forgotten")
    }

    /// The time of a batch was over before this line had ended.
    pub(crate) fn batch_overdue() -> Self {
        let detail = "the batch took too long: it is not known whether this command was carried out; send smaller batches, or \
                      smaller timeoutMs";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_code("overdue")
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let refused = self.refused.as_ref();
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            node: refused.map(|refused| &refused.node),
            servers: refused.map(|refused| &refused.servers[..]),
            missing: refused.map(|refused| &refused.missing[..]),
        };
        body.serialize(serializer)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        response.extensions_mut().insert(self.effect);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::SERVICE_UNAVAILABLE || self.code == Some(RUNNING) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
