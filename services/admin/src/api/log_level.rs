//! Routes that change the log level of one server or of all for a stated time. Each server falls back by itself, or earlier when it is
//! told so.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wsmesh_adapter::{
    CallError, Missing, Payload, PublishError, Refusal, Reply, RequestError, RequestOptions, ServerName, ServiceName,
    Target,
};
use wsmesh_bootstrap::{CONFIGURED_LOG_LEVEL, LOG_LEVEL, LOG_LEVEL_TIME, LogLevelNow, LogLevelOrder};

use super::Api;
use super::address::OfPath;
use super::body::JsonBody;
use crate::audit::Subject;
use crate::gather::{self, MissingServer};
use crate::json::whole_or_null;
use crate::problem::Problem;
use crate::shapes::Name;

/// What to log, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = LogLevel)]
pub(super) struct LevelOrder {
    /// error, warn, info, debug or trace, or a filter: info,wsmesh_adapter=debug. Or default: the configured level holds again at once.
    #[schema(min_length = 1, max_length = 256)]
    level: String,
    /// After how many milliseconds the configured level holds again. Default: 10 minutes. Does not matter with the level default.
    #[schema(minimum = 1000, maximum = 86400000)]
    #[serde(default, deserialize_with = "whole_or_null")]
    for_ms: Option<u64>,
}

/// What to log, for how long, and where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = LogLevelOfMany)]
pub(super) struct OrderOfMany {
    /// error, warn, info, debug or trace, or a filter: info,wsmesh_adapter=debug. Or default: the configured level holds again at once.
    #[schema(min_length = 1, max_length = 256)]
    level: String,
    /// After how many milliseconds the configured level holds again. Default: 10 minutes. Does not matter with the level default.
    #[schema(minimum = 1000, maximum = 86400000)]
    #[serde(default, deserialize_with = "whole_or_null")]
    for_ms: Option<u64>,
    /// Only the servers of this service. Default: every server.
    #[schema(value_type = Option<Name>)]
    service: Option<ServiceName>,
}

/// What a server logs now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLevelAtServer)]
pub(super) struct Level {
    #[schema(value_type = Name)]
    server: ServerName,
    level: String,
    /// When the configured level holds again.
    #[serde(serialize_with = "gather::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

/// What all servers log now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLevelOfAll)]
pub(super) struct LevelOfAll {
    level: String,
    /// When the configured level holds again.
    #[serde(serialize_with = "gather::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// The servers that log at this level now, by name.
    #[schema(value_type = Vec<Name>)]
    servers: Vec<ServerName>,
    /// Whether all live servers do.
    complete: bool,
    /// The servers that may not, and why.
    missing: Vec<MissingServer>,
}

/// Changes what one server logs, for a while
///
/// The server falls back to its configured level by itself, also if admin has ended meanwhile; earlier with the level default. Servers in one
/// process have one level.
#[utoipa::path(
    post, path = "/servers/{name}/log-level", operation_id = "logLevel", tag = "cluster",
    params(("name" = Name, Path, description = "A server's name.")),
    request_body(content = LevelOrder, example = json!({"level": "debug", "forMs": 60000})),
    responses(
        (status = 200, description = "It logs at this level.", body = Level),
        (status = 404, description = "There is no such server."),
        (status = 409, description = "The server cannot change its level while it runs, or the first request with this idempotency \
            key is still running (code running)."),
        (status = 502, description = "The answer of the server cannot be read."),
    ),
)]
pub(super) async fn of_server(
    State(api): State<Api>,
    subject: Subject,
    OfPath(server): OfPath<ServerName>,
    JsonBody(order): JsonBody<LevelOrder>,
) -> Result<Json<Level>, Problem> {
    let order = checked(order)?;
    subject.name(format!("server {server}, {}", described(&order)));
    let target = Target::Server(server.clone());
    let asked = api
        .adapter
        .call_typed::<_, LogLevelNow>(target, LOG_LEVEL, &order, RequestOptions::default());
    let now = asked.await.map_err(|error| problem(&server, &error))?;
    Ok(Json(Level {
        server,
        until: until(&order),
        level: now.level,
    }))
}

/// Changes what every server logs, or every server of a service, for a while
///
/// Each server falls back to its configured level by itself; earlier with the level default.
#[utoipa::path(
    post, path = "/log-level", operation_id = "logLevelOfAll", tag = "cluster",
    request_body(content = OrderOfMany, example = json!({"level": "debug", "forMs": 60000, "service": "ws-node"})),
    responses(
        (status = 200, description = "The servers that log at this level now, and those that may not.", body = LevelOfAll),
        (status = 404, description = "There is no server of this service."),
        (status = 409, description = "The first request with this idempotency key is still running (code running)."),
    ),
)]
pub(super) async fn of_all(
    State(api): State<Api>,
    subject: Subject,
    JsonBody(order): JsonBody<OrderOfMany>,
) -> Result<Json<LevelOfAll>, Problem> {
    let OrderOfMany { level, for_ms, service } = order;
    let order = checked(LevelOrder { level, for_ms })?;
    let whose = service.as_ref().map(|service| format!("service {service}"));
    subject.name(format!(
        "{}, {}",
        whose.as_deref().unwrap_or("every server"),
        described(&order)
    ));
    let target = service.map_or(Target::Everyone, Target::Service);
    let payload = Payload::new(&order).map_err(PublishError::from)?;
    let asked = api.adapter.ask(target, LOG_LEVEL, payload, RequestOptions::default());
    let outcome = asked.await.map_err(|error| match error {
        PublishError::Target(_) => Problem::new(StatusCode::NOT_FOUND, error.to_string()),
        other => other.into(),
    })?;
    let silent = outcome.missing.into_iter().map(|(server, why)| MissingServer {
        why: silence(&why),
        server,
    });
    let (mut servers, mut missing) = (Vec::new(), silent.collect::<Vec<_>>());
    for Reply { server, payload } in outcome.replies {
        match Refusal::of(&payload) {
            None => servers.push(server),
            Some(refusal) => missing.push(MissingServer {
                server,
                why: refusal.text.into_owned(),
            }),
        }
    }
    servers.sort();
    missing.sort_by(|a, b| a.server.cmp(&b.server));
    Ok(Json(LevelOfAll {
        until: until(&order),
        level: order.level,
        servers,
        complete: missing.is_empty() && outcome.unnamed == 0,
        missing,
    }))
}

/// The order as it is sent; its bounds are checked here, so that no server is asked for nothing.
fn checked(LevelOrder { level, for_ms }: LevelOrder) -> Result<LogLevelOrder, Problem> {
    let usual = u64::try_from(LOG_LEVEL_TIME.as_millis()).unwrap_or(u64::MAX);
    let order = LogLevelOrder {
        level,
        for_ms: for_ms.unwrap_or(usual),
    };
    order.check().map_err(Problem::bad_request)?;
    Ok(order)
}

/// What is asked for, for the audit.
fn described(order: &LogLevelOrder) -> String {
    match order.level.as_str() {
        CONFIGURED_LOG_LEVEL => "level as configured".to_owned(),
        level => format!("level {level} for {} s", order.for_ms.div_ceil(1000)),
    }
}

/// When the configured level holds again: now, if that was asked for.
fn until(order: &LogLevelOrder) -> Timestamp {
    let for_ms = match order.level.as_str() {
        CONFIGURED_LOG_LEVEL => 0,
        _ => i64::try_from(order.for_ms).unwrap_or(i64::MAX),
    };
    let length = SignedDuration::from_millis(for_ms);
    Timestamp::now().checked_add(length).unwrap_or(Timestamp::MAX)
}

fn problem(server: &ServerName, error: &CallError) -> Problem {
    let status = match error {
        CallError::Request(RequestError::Publish(PublishError::Target(_))) => StatusCode::NOT_FOUND,
        CallError::Request(RequestError::Missing {
            why: why @ Missing::Unhandled,
            ..
        }) => return Problem::new(StatusCode::CONFLICT, format!("{server} {}", silence(why))),
        CallError::Request(_) => StatusCode::SERVICE_UNAVAILABLE,
        // Its bounds were checked here: another version has others, or its logs are not ours to change.
        CallError::Refused { .. } => StatusCode::CONFLICT,
        CallError::Unreadable { .. } => StatusCode::BAD_GATEWAY,
    };
    Problem::new(status, error.to_string())
}

fn silence(why: &Missing) -> String {
    match why {
        Missing::Unhandled => {
            "cannot change its log level while it runs: it has another version, or is a program of its own that does \
                               not call wsmesh_bootstrap::answer_log_level"
                .to_owned()
        }
        why => why.to_string(),
    }
}
