//! What a backend tells the cluster to do with its clients: one verb each, behind a request of its own and behind a line of a batch.
//!
//! A verb says what came of it as far as that is known. A client that is nowhere is a problem and never a silent success. HTTP is
//! not known here, except for the status that an outcome has.

mod message;

mod farewell;
mod orders;
mod sends;

mod command;
mod deeds;

pub(crate) mod batch;

pub(crate) use deeds::Deeds;
pub(crate) use farewell::Farewell;
pub(crate) use message::Message;
pub(crate) use orders::{Detail, LONGEST_ASK, ask, close_room, data, disconnect, join, leave, query, set_data};
pub(crate) use sends::{Whereabouts, to_client, to_clients, to_everyone, to_room};

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use wsmesh_adapter::ClientId;

use crate::gather::{Answer, ClientState, ClientsView};
use crate::problem::Problem;
use crate::shapes::Name;

/// What came of a command.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Accepted(Accepted),
    AcceptedForClient(AcceptedForClient),
    AcceptedForClients(AcceptedForClients),
    Answered(Answered),
    Done(Done),
    Attached(Attached),
    Found(Answer<ClientsView>),
}

impl From<Accepted> for Outcome {
    fn from(accepted: Accepted) -> Self {
        Self::Accepted(accepted)
    }
}

impl From<AcceptedForClients> for Outcome {
    fn from(accepted: AcceptedForClients) -> Self {
        Self::AcceptedForClients(accepted)
    }
}

impl Outcome {
    /// 202 for what is on its way, 200 for what is done.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Accepted(_) | Self::AcceptedForClient(_) | Self::AcceptedForClients(_) => StatusCode::ACCEPTED,
            Self::Answered(_) | Self::Done(_) | Self::Attached(_) | Self::Found(_) => StatusCode::OK,
        }
    }
}

impl PartialSchema for Outcome {
    /// Any of them, or a problem.
    fn schema() -> RefOr<Schema> {
        let all = [
            Accepted::name(),
            AcceptedForClient::name(),
            AcceptedForClients::name(),
            Answered::name(),
            Done::name(),
            Attached::name(),
            Answer::<ClientsView>::name(),
            Problem::name(),
        ];
        let any = all
            .into_iter()
            .fold(AnyOfBuilder::new(), |any, name| any.item(Ref::from_schema_name(name)));
        RefOr::T(any.build().into())
    }
}

impl ToSchema for Outcome {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            schemas.push((T::name().into_owned(), T::schema()));
            T::schemas(schemas);
        }
        add::<Accepted>(schemas);
        add::<AcceptedForClient>(schemas);
        add::<AcceptedForClients>(schemas);
        add::<Answered>(schemas);
        add::<Done>(schemas);
        add::<Attached>(schemas);
        add::<Answer<ClientsView>>(schemas);
        add::<Problem>(schemas);
    }
}

/// Handed to a Redis node that every server concerned hears: it reaches every server concerned once, also if that node dies now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    accepted: bool,
    /// How many servers got it; a server whose last client for it has just left may be counted. null: no Redis node is heard; the
    /// message goes out as soon as one is, within the replay window.
    #[schema(required = true)]
    pub(crate) servers: Option<usize>,
}

impl Accepted {
    fn at(servers: Option<usize>) -> Self {
        Self {
            accepted: true,
            servers,
        }
    }
}

/// As [`Accepted`], for a client.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedForClient {
    accepted: bool,
    /// As for a room.
    #[schema(required = true)]
    servers: Option<usize>,
    /// Unknown: a server that may have the client did not say whether it does.
    state: ClientState,
}

/// As [`Accepted`], for several clients.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AcceptedForClients {
    accepted: bool,
    /// How many servers that are known to have one of them got it. Null if no Redis node was heard for some: nobody knows yet.
    #[schema(required = true)]
    pub(crate) servers: Option<usize>,
    /// They are certainly not connected to any server.
    #[schema(value_type = Vec<Name>)]
    pub(crate) offline: Vec<ClientId>,
    /// They are connected nowhere as far as is known, but not every server has answered. The message was sent to them.
    #[schema(value_type = Vec<Name>)]
    pub(crate) unknown: Vec<ClientId>,
    /// No Redis node took the message for them.
    #[schema(value_type = Vec<Name>)]
    pub(crate) failed: Vec<ClientId>,
}

/// The answer of a client.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Answered {
    #[schema(value_type = Value)]
    answer: Box<RawValue>,
}

/// What services attached to a client; null if nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attached {
    #[schema(value_type = Value)]
    data: Option<Box<RawValue>>,
}

/// It is done, at every server concerned.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    done: bool,
}
