//! Who changed what, from all admins.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::Api;
use super::query::Params;
use crate::audit::{self, AuditView, Place};
use crate::gather::{Answer, Page};

type Audit = Answer<AuditView>;

/// Who changed what, newest first
///
/// The last 1,000 records of each admin of what was done, and 500 of what was rejected or failed. Messages of one caller, and
/// rejections that repeat, are one record a minute. Requests without a token that counts are among them, by address.
#[utoipa::path(
    get, path = "/audit", operation_id = "audit", tag = "cluster",
    params(Page<Place>),
    responses((status = 200, description = "A page of the records.", body = Audit)),
)]
pub(super) async fn audit(State(api): State<Api>, Params(page): Params<Page<Place>>) -> Json<Audit> {
    let gathered = api.audit.gather(&api.adapter, &page).await;
    let view = audit::page(&gathered, page.limit());
    Json(Answer::new(Timestamp::now(), &gathered, view))
}
