//! Routes of the statistics: the newest sample, and the last hour. Both are answered from memory.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Api;
use crate::problem::Problem;
use crate::statistics::{HISTORY_SECONDS, HistoryView};

/// `GET /api/v1/stats`
pub(super) async fn stats(State(api): State<Api>) -> Response {
    let snapshot = api.statistics.current().await;
    Json(snapshot.stats_now()).into_response()
}

/// How much of the history is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// The last seconds, up to an hour; a row a second for at most 300, else a row for ten.
    #[serde(default = "five_minutes")]
    seconds: u64,
}

fn five_minutes() -> u64 {
    300
}

/// `GET /api/v1/stats/history?seconds=`
pub(super) async fn history(
    State(api): State<Api>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Json<HistoryView>, Problem> {
    let Query(HistoryQuery { seconds }) = query?;
    if !(1..=HISTORY_SECONDS).contains(&seconds) {
        return Err(Problem::bad_request(format!("seconds must be 1 to {HISTORY_SECONDS}")));
    }
    Ok(Json(api.statistics.history(seconds)))
}
