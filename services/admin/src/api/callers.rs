//! Who the caller is, as its token says: the dashboard shows it, and disables what it does not allow.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Caller, Right, Role};

/// Answer of `GET /api/v1/caller`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallerView {
    /// The name that belongs to the token; "demo" where none is needed.
    name: String,
    role: Role,
    /// Whether it may change clients and their rooms: join, leave, disconnect, data, close.
    clients: bool,
}

/// The caller: its name and its role
#[utoipa::path(
    get, path = "/caller", operation_id = "caller", tag = "cluster",
    responses((status = 200, description = "Who the token belongs to.", body = CallerView)),
)]
pub(super) async fn caller(caller: Caller) -> Json<CallerView> {
    let clients = caller.has(Right::Clients);
    Json(CallerView {
        name: caller.name,
        role: caller.role,
        clients,
    })
}
