//! One handler per route of the API: check the request, ask the adapter, answer.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use jiff::Timestamp;
use wsmesh_adapter::{ClientId, Room};

use super::Api;
use crate::access::{Caller, Right};
use crate::gather::{
    self, Answer, ClientView, ClusterView, MAX_PAGE, NodesView, Page, RoomView, RoomsPage, RoomsView, StatsView,
};
use crate::problem::Problem;

/// A path, query or body, or why it could not be read.
type Part<T, R> = Result<T, R>;

/// `GET /api/v1/cluster`
pub(super) async fn cluster(State(api): State<Api>) -> Json<Answer<ClusterView>> {
    let gathered = api.adapter.cluster_stats().await;
    let roster = api.adapter.servers();
    Json(Answer::new(
        Timestamp::now(),
        &gathered,
        gather::cluster(&roster, &gathered, api.adapter.differences()),
    ))
}

/// `GET /api/v1/nodes`
pub(super) async fn nodes(State(api): State<Api>) -> Json<Answer<NodesView>> {
    let gathered = api.adapter.cluster_stats().await;
    let topology = api.adapter.topology();
    let kubernetes = api.kubernetes.as_ref().map(|kubernetes| kubernetes.view());
    let nodes = gather::nodes(topology, &gathered);
    Json(Answer::new(
        Timestamp::now(),
        &gathered,
        match kubernetes {
            Some(view) => gather::with_pods(nodes, view),
            None => nodes,
        },
    ))
}

/// `GET /api/v1/stats`
pub(super) async fn stats(State(api): State<Api>) -> Json<Answer<StatsView>> {
    let gathered = api.adapter.cluster_stats().await;
    let roster = api.adapter.servers();
    Json(Answer::new(
        Timestamp::now(),
        &gathered,
        gather::stats(&roster, &gathered),
    ))
}

/// `GET /api/v1/rooms?namespace=&prefix=&limit=&afterNamespace=&afterId=`
pub(super) async fn rooms(
    State(api): State<Api>,
    page: Part<Query<RoomsPage>, QueryRejection>,
) -> Result<Json<Answer<RoomsView>>, Problem> {
    let Query(page) = page?;
    check_limit(page.limit)?;
    if page.after_namespace.is_some() != page.after_id.is_some() {
        return Err(Problem::bad_request(
            "afterNamespace and afterId go together: give both or none",
        ));
    }
    let gathered = api.adapter.cluster_rooms(page.namespace.clone(), &page.prefix).await;
    Ok(Json(Answer::new(
        Timestamp::now(),
        &gathered,
        gather::rooms(&gathered, &page),
    )))
}

/// `GET /api/v1/rooms/{namespace}/{id}?limit=&after=`
pub(super) async fn room(
    State(api): State<Api>,
    address: Part<Path<(String, String)>, PathRejection>,
    page: Part<Query<Page>, QueryRejection>,
) -> Result<Json<Answer<RoomView>>, Problem> {
    let Path((namespace, id)) = address?;
    let room = Room::new(namespace, id)?;
    let Query(page) = page?;
    check_limit(page.limit)?;
    let gathered = api.adapter.cluster_room(&room).await;
    Ok(Json(Answer::new(
        Timestamp::now(),
        &gathered,
        gather::room(room, &gathered, &page),
    )))
}

fn check_limit(limit: usize) -> Result<(), Problem> {
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(());
    }
    Err(Problem::bad_request(format!("limit must be 1 to {MAX_PAGE}")))
}

/// `GET /api/v1/clients/{id}`
pub(super) async fn client(
    State(api): State<Api>,
    caller: Caller,
    id: Part<Path<String>, PathRejection>,
) -> Result<Json<Answer<ClientView>>, Problem> {
    let Path(id) = id?;
    find(&api, &caller, ClientId::new(id)?).await
}

/// As [`client`], for a client whose id is also the last word of another path.
pub(super) async fn client_called(
    State(api): State<Api>,
    caller: Caller,
    id: &str,
) -> Result<Json<Answer<ClientView>>, Problem> {
    find(&api, &caller, ClientId::new(id)?).await
}

async fn find(api: &Api, caller: &Caller, id: ClientId) -> Result<Json<Answer<ClientView>>, Problem> {
    let gathered = api.adapter.cluster_client(&id).await;
    let found = gather::client(id, &gathered);
    let shown = match caller.has(Right::Publish) {
        true => found,
        false => found.without_payloads(),
    };
    Ok(Json(Answer::new(Timestamp::now(), &gathered, shown)))
}
