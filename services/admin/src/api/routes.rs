//! One handler per route of the API: check the request, ask the adapter, answer.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use wsmesh_adapter::{ClientId, MAX_NAME_BYTES};

use super::Api;
use super::address::{OfClient, OfRoom};
use super::query::Params;
use crate::access::{Caller, Right};
use crate::gather::{self, Answer, ClientView, ClusterView, NodesView, Page, RoomView, RoomsPage, RoomsView};
use crate::problem::Problem;
use crate::shapes::Name;

type Cluster = Answer<ClusterView>;
type Nodes = Answer<NodesView>;
type Rooms = Answer<RoomsView>;
type RoomMembers = Answer<RoomView>;
type Client = Answer<ClientView>;

/// Servers by service: version, start, load, nodes heard, lapses; settings that differ
#[utoipa::path(
    get, path = "/cluster", operation_id = "cluster", tag = "cluster",
    responses((status = 200, description = "The live servers.", body = Cluster)),
)]
pub(super) async fn cluster(State(api): State<Api>) -> Json<Cluster> {
    Json(api.statistics.cluster_now().await)
}

/// Redis nodes: the state of each, and which servers hear it
#[utoipa::path(
    get, path = "/nodes", operation_id = "nodes", tag = "nodes",
    responses((status = 200, description = "The nodes.", body = Nodes)),
)]
pub(super) async fn nodes(State(api): State<Api>) -> Json<Nodes> {
    Json(api.statistics.nodes_now().await)
}

/// Rooms with their number of members
#[utoipa::path(
    get, path = "/rooms", operation_id = "rooms", tag = "rooms",
    params(RoomsPage),
    responses((status = 200, description = "A page of the rooms, by namespace and id.", body = Rooms)),
)]
pub(super) async fn rooms(State(api): State<Api>, Params(page): Params<RoomsPage>) -> Result<Json<Rooms>, Problem> {
    for (name, prefix) in [("prefix", &page.prefix), ("namespacePrefix", &page.namespace_prefix)] {
        if prefix.chars().count() > MAX_NAME_BYTES {
            return Err(Problem::bad_request(format!(
                "{name} has more than {MAX_NAME_BYTES} characters: no room has such an address"
            )));
        }
    }
    let gathered = match (page.namespace.clone(), page.namespace_prefix.as_str()) {
        (Some(_), prefix) if !prefix.is_empty() => {
            return Err(Problem::bad_request(
                "namespace and namespacePrefix exclude each other: give one of them",
            ));
        }
        (None, prefix) if !prefix.is_empty() => api.adapter.cluster_rooms_under(prefix, &page.prefix).await,
        (namespace, _) => api.adapter.cluster_rooms(namespace, &page.prefix).await,
    };
    Ok(Json(Answer::new(
        Timestamp::now(),
        &gathered,
        gather::rooms(&gathered, &page),
    )))
}

/// Members of a room
#[utoipa::path(
    get, path = "/rooms/{namespace}/{id}", operation_id = "room", tag = "rooms",
    params(
        ("namespace" = Name, Path, description = "For example chat."),
        ("id" = Name, Path, description = "The room's id."),
        Page<ClientId>,
    ),
    responses((status = 200, description = "A page of the members, by id.", body = RoomMembers)),
)]
pub(super) async fn room(
    State(api): State<Api>,
    OfRoom(room): OfRoom,
    Params(page): Params<Page<ClientId>>,
) -> Json<RoomMembers> {
    let gathered = api.adapter.cluster_room(&room).await;
    Json(Answer::new(
        Timestamp::now(),
        &gathered,
        gather::room(room, &gathered, &page),
    ))
}

/// Where a client is, and its rooms
///
/// What is known about its connections is told to publishers and operators only.
#[utoipa::path(
    get, path = "/clients/{id}", operation_id = "client", tag = "clients",
    params(("id" = Name, Path, description = "The client's id.")),
    responses((status = 200, description = "Its connections; none if it is offline.", body = Client)),
)]
pub(super) async fn client(State(api): State<Api>, caller: Caller, OfClient(client): OfClient) -> Json<Client> {
    find(&api, &caller, client).await
}

/// As [`client`], for a client whose id is also the last word of another path.
pub(super) async fn client_called(State(api): State<Api>, caller: Caller, id: &str) -> Result<Json<Client>, Problem> {
    Ok(find(&api, &caller, ClientId::new(id)?).await)
}

async fn find(api: &Api, caller: &Caller, id: ClientId) -> Json<Client> {
    let gathered = api.adapter.cluster_client(&id).await;
    let found = gather::client(id, &gathered);
    let shown = match caller.has(Right::Publish) {
        true => found,
        false => found.without_payloads(),
    };
    Json(Answer::new(Timestamp::now(), &gathered, shown))
}
