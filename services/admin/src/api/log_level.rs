//! Routes that change the log level of one server or of all for a stated time. Each server falls back by itself.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wsmesh_adapter::{
    CallError, Missing, Payload, PublishError, Refusal, Reply, RequestError, RequestOptions, ServerName, Target,
};
use wsmesh_bootstrap::{LOG_LEVEL, LOG_LEVEL_TIME, LogLevelNow, LogLevelOrder};

use super::Api;
use super::body::JsonBody;
use crate::gather::{self, MissingServer};
use crate::problem::Problem;

/// Body of `POST /api/v1/servers/{name}/log-level` and of `POST /api/v1/log-level`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct LevelOrder {
    /// error, warn, info, debug or trace, or a filter: info,wsmesh_adapter=debug. At most 256 characters.
    level: String,
    /// After how many milliseconds the configured level holds again: 1 second to 24 hours. Default: 10 minutes.
    for_ms: Option<u64>,
}

/// Answer of `POST /api/v1/servers/{name}/log-level`.
#[derive(Debug, Serialize)]
pub(super) struct Level {
    server: ServerName,
    level: String,
    /// When the configured level holds again.
    #[serde(serialize_with = "gather::rfc3339")]
    until: Timestamp,
}

/// Answer of `POST /api/v1/log-level`.
#[derive(Debug, Serialize)]
pub(super) struct LevelOfAll {
    level: String,
    /// When the configured level holds again.
    #[serde(serialize_with = "gather::rfc3339")]
    until: Timestamp,
    /// The servers that log at this level now, by name.
    servers: Vec<ServerName>,
    /// Whether all live servers do.
    complete: bool,
    /// The servers that may not, and why.
    missing: Vec<MissingServer>,
}

/// `POST /api/v1/servers/{name}/log-level`
pub(super) async fn of_server(
    State(api): State<Api>,
    name: Result<Path<ServerName>, PathRejection>,
    JsonBody(order): JsonBody<LevelOrder>,
) -> Result<Json<Level>, Problem> {
    let Path(server) = name?;
    let order = checked(order)?;
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

/// `POST /api/v1/log-level`
pub(super) async fn of_all(
    State(api): State<Api>,
    JsonBody(order): JsonBody<LevelOrder>,
) -> Result<Json<LevelOfAll>, Problem> {
    let order = checked(order)?;
    let payload = Payload::new(&order).map_err(PublishError::from)?;
    let asked = api
        .adapter
        .ask(Target::Everyone, LOG_LEVEL, payload, RequestOptions::default());
    let outcome = asked.await?;
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

fn until(order: &LogLevelOrder) -> Timestamp {
    let length = SignedDuration::from_millis(i64::try_from(order.for_ms).unwrap_or(i64::MAX));
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
