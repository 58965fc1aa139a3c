//! One handler per route of the API: check the request, ask the adapter, answer.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wsmesh_adapter::{ClientId, Frame, Room, RoomOptions, Scope};
use wsmesh_protocol::frame;

use super::Api;
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
    id: Part<Path<String>, PathRejection>,
) -> Result<Json<Answer<ClientView>>, Problem> {
    let Path(id) = id?;
    let id = ClientId::new(id)?;
    let gathered = api.adapter.cluster_client(&id).await;
    Ok(Json(Answer::new(
        Timestamp::now(),
        &gathered,
        gather::client(id, &gathered),
    )))
}

/// Body of `POST /api/v1/broadcast`: an event for everyone, for a room, or for some clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broadcast {
    event: String,
    /// Any JSON value; it is sent exactly as written.
    payload: Option<Box<RawValue>>,
    room: Option<Room>,
    clients: Option<Vec<ClientId>>,
}

/// Answer of `POST /api/v1/broadcast`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    #[serde(serialize_with = "gather::rfc3339")]
    as_of: Timestamp,
    target: SentTo,
    /// Requested clients that are certainly not connected to any server.
    offline: Vec<ClientId>,
}

/// The receivers of a broadcast.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum SentTo {
    Everyone,
    Room,
    Clients,
}

/// `POST /api/v1/broadcast`
pub(super) async fn broadcast(
    State(api): State<Api>,
    body: Part<Json<Broadcast>, JsonRejection>,
) -> Result<Json<Sent>, Problem> {
    let Json(Broadcast {
        event,
        payload,
        room,
        clients,
    }) = body?;
    if event.is_empty() {
        return Err(Problem::bad_request(
            "event is empty: name the event that clients listen to",
        ));
    }
    let payload = payload.as_deref().map_or("null", RawValue::get);
    let frame = Frame::new(frame::push_raw(&event, payload));
    let (target, offline) = match (room, clients) {
        (None, None) => {
            api.adapter.to_everyone(frame, Scope::Cluster).await?;
            (SentTo::Everyone, Vec::new())
        }
        (Some(room), None) => {
            api.adapter.to_room(&room, frame, RoomOptions::default()).await?;
            (SentTo::Room, Vec::new())
        }
        (None, Some(clients)) => (SentTo::Clients, api.adapter.to_clients(&clients, frame).await?),
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request(
                "both room and clients are given: a message goes to one of them",
            ));
        }
    };
    Ok(Json(Sent {
        as_of: Timestamp::now(),
        target,
        offline,
    }))
}
