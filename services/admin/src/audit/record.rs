//! One entry of the audit.

use std::net::IpAddr;

use axum::http::StatusCode;
use jiff::Timestamp;
use opentelemetry::trace::TraceContextExt;
use serde::{Deserialize, Deserializer, Serialize};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use utoipa::ToSchema;
use wsmesh_adapter::ServerName;

use crate::access::{Caller, Role};
use crate::gather::rfc3339;

/// What somebody did, as the audit keeps and shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// When it was done; of several, the first.
    #[serde(serialize_with = "rfc3339", deserialize_with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Timestamp,
    /// The admin that it was asked of.
    #[schema(value_type = String)]
    pub(crate) admin: ServerName,
    /// The name that belongs to the caller's token; null for somebody without a token that counts.
    pub(crate) caller: Option<String>,
    pub(crate) role: Option<Role>,
    /// What was asked for, in a word or two: `disconnect`, `add node`.
    pub(crate) action: String,
    /// On whom or what: `client ann`, `room chat/lobby`, `node redis-3`. Empty if that is in the action, or was not understood.
    pub(crate) target: String,
    pub(crate) result: Conclusion,
    /// The status of the answer.
    #[schema(value_type = u16)]
    pub(crate) status: u16,
    #[schema(value_type = Option<String>)]
    pub(crate) address: Option<IpAddr>,
    /// The trace of the request, if it has one.
    pub(crate) trace_id: Option<String>,
    /// How often, within a minute from `at`.
    pub(crate) count: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Conclusion {
    /// It was done, or is on its way.
    Done,
    /// The caller may not do that.
    Forbidden,
    /// The request was wrong, or not possible at that time: nothing was changed.
    Rejected,
    /// It was tried and failed: a part may have been done.
    Failed,
}

/// Actions that are messages to clients.
const SENDS: [&str; 5] = [
    "broadcast",
    "send to room",
    "send to client",
    "send to clients",
    "ask client",
];
/// How many targets of a record of several are named. The others are counted.
const NAMED: usize = 10;
/// Longest text of a target. More of it tells nothing more.
const MAX_TARGET_CHARS: usize = 500;

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) action: String,
    pub(crate) target: String,
    pub(crate) status: StatusCode,
    pub(crate) count: u64,
    /// All targets, if there are several: each is logged.
    pub(super) each: Vec<String>,
    /// The trace that its caller named, if this admin follows none itself.
    pub(super) trace_id: Option<String>,
}

impl Entry {
    /// Something that was done once.
    pub(crate) fn new(action: impl Into<String>, target: impl AsRef<str>, status: StatusCode) -> Self {
        Self {
            action: action.into(),
            target: cut(target.as_ref()),
            status,
            count: 1,
            each: Vec::new(),
            trace_id: None,
        }
    }

    /// Something that was done so often, to these targets. The record names the first; of messages none is logged of its own.
    pub(crate) fn of_several(action: &str, targets: Vec<String>, status: StatusCode, count: u64) -> Self {
        let named = targets.len().min(NAMED);
        let mut target = targets[..named].join("; ");
        if targets.len() > named {
            target = format!("{target}; and {} more", targets.len() - named);
        }
        let entry = Self::new(action, target, status);
        let each = match targets.len() > 1 && !entry.is_send() {
            true => targets.iter().map(|target| cut(target)).collect(),
            false => Vec::new(),
        };
        Self { count, each, ..entry }
    }

    /// Whether it was a message to clients: those of a caller are summed up, as many a second may be.
    pub(super) fn is_send(&self) -> bool {
        SENDS.contains(&self.action.as_str())
    }
}

impl Record {
    /// A record of an entry of this caller.
    pub(super) fn new(admin: ServerName, caller: &Caller, entry: Entry, at: Timestamp) -> Self {
        Self {
            at,
            admin,
            caller: Some(caller.name.clone()),
            role: Some(caller.role),
            result: Conclusion::of(entry.status),
            action: entry.action,
            target: entry.target,
            status: entry.status.as_u16(),
            address: caller.address,
            trace_id: trace_id().or(entry.trace_id),
            count: entry.count,
        }
    }
}

impl Record {
    /// A record of requests without a token that counts.
    pub(super) fn of_stranger(
        admin: ServerName,
        action: &str,
        address: Option<IpAddr>,
        status: StatusCode,
        at: Timestamp,
    ) -> Self {
        Self {
            at,
            admin,
            caller: None,
            role: None,
            action: action.to_owned(),
            target: String::new(),
            result: Conclusion::Forbidden,
            status: status.as_u16(),
            address,
            trace_id: None,
            count: 1,
        }
    }
}

impl Conclusion {
    /// What an answer of this status means.
    pub(super) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Self::Forbidden,
            // The time was over, or the caller went away: what was begun may go on.
            status if matches!(status.as_u16(), 408 | 499) => Self::Failed,
            status if status.is_client_error() => Self::Rejected,
            status if status.is_server_error() => Self::Failed,
            _ => Self::Done,
        }
    }

    /// As it is logged.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Forbidden => "forbidden",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// The status of a request whose caller went away: the one that other servers log for it. It is never sent.
pub(crate) fn went_away() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT)
}

/// The beginning of a text, on one line.
fn cut(text: &str) -> String {
    let plain = |char: char| if char.is_control() { '\u{fffd}' } else { char };
    text.chars().take(MAX_TARGET_CHARS).map(plain).collect()
}

/// The trace that the current span belongs to, if it is followed.
fn trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_several_names_the_first_and_has_all_for_the_log() {
        let clients = || (0..12).map(|number| format!("client {number}")).collect::<Vec<_>>();
        let entry = Entry::of_several("join", clients(), StatusCode::OK, 12);
        assert!(
            entry.target.starts_with("client 0; ") && entry.target.ends_with("client 9; and 2 more"),
            "{}",
            entry.target
        );
        assert_eq!((entry.count, entry.each), (12, clients()));
        let one = Entry::of_several("join", vec!["client x".to_owned()], StatusCode::OK, 1);
        assert_eq!((one.target.as_str(), one.each.len()), ("client x", 0));
        let sends = Entry::of_several("send to client", clients(), StatusCode::OK, 12);
        assert!(sends.each.is_empty());
    }

    #[test]
    fn a_target_is_one_short_line() {
        assert_eq!(cut("client a\r\nb\u{1b}[31m"), "client a\u{fffd}\u{fffd}b\u{fffd}[31m");
        assert_eq!(cut(&"ä".repeat(1_000)).chars().count(), MAX_TARGET_CHARS);
    }
}
