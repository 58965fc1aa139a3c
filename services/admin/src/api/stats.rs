//! Routes of the statistics: the newest sample, and the last hour. Both are answered from memory.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::query::Params;
use crate::gather::{Answer, StatsView};
use crate::problem::Problem;
use crate::statistics::{HISTORY_SECONDS, HistoryView};

type Stats = Answer<StatsView>;

/// Totals and rates: of the cluster, services, servers, namespaces; rooms and clients that stand out
#[utoipa::path(
    get, path = "/stats", operation_id = "stats", tag = "cluster",
    responses((status = 200, description = "The newest sample: one is taken each second.", body = Stats)),
)]
pub(super) async fn stats(State(api): State<Api>) -> Response {
    let snapshot = api.statistics.current().await;
    Json(snapshot.stats_now()).into_response()
}

/// How much of the history is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// The last seconds, at most an hour: a row a second for up to 300, else a row for ten.
    #[serde(default = "five_minutes")]
    #[param(minimum = 1, maximum = 3600, default = 300, required = false)]
    seconds: u64,
}

fn five_minutes() -> u64 {
    300
}

/// The numbers of the last hour, for plots
#[utoipa::path(
    get, path = "/stats/history", operation_id = "history", tag = "cluster",
    params(HistoryQuery),
    responses((status = 200, description = "A row for each second, or for ten.", body = HistoryView)),
)]
pub(super) async fn history(
    State(api): State<Api>,
    Params(HistoryQuery { seconds }): Params<HistoryQuery>,
) -> Result<Json<HistoryView>, Problem> {
    if !(1..=HISTORY_SECONDS).contains(&seconds) {
        return Err(Problem::bad_request(format!("seconds must be 1 to {HISTORY_SECONDS}")));
    }
    Ok(Json(api.statistics.history(seconds)))
}
