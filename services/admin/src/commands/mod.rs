//! What a backend tells the cluster to do with its clients: one verb each, behind a request of its own and behind a line of a batch.
//!
//! A verb says what came of it as far as that is known. A client that is nowhere is a problem and never a silent success. HTTP is
//! not known here, except for the status that an outcome has.

mod message;

mod farewell;
mod orders;
mod sends;

mod command;

pub(crate) mod batch;

pub(crate) use farewell::Farewell;
pub(crate) use message::Message;
pub(crate) use orders::{Detail, LONGEST_ASK, ask, close_room, data, disconnect, join, leave, query, set_data};
pub(crate) use sends::{Whereabouts, to_client, to_clients, to_everyone, to_room};

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use wsmesh_adapter::ClientId;

use crate::gather::{Answer, ClientState, ClientsView};

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

/// A message is on its way to a room or to everyone.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    accepted: bool,
    /// How many servers got it. Null while no Redis node is heard: it goes out as soon as one is.
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

/// A message is on its way to a client.
#[derive(Debug, Serialize)]
pub(crate) struct AcceptedForClient {
    accepted: bool,
    servers: Option<usize>,
    /// Unknown: a server that may have the client did not say whether it does.
    state: ClientState,
}

/// A message is on its way to several clients.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AcceptedForClients {
    accepted: bool,
    /// How many servers that are known to have one of them got it. Null if no Redis node was heard for some: nobody knows yet.
    pub(crate) servers: Option<usize>,
    /// They are certainly not connected to any server.
    pub(crate) offline: Vec<ClientId>,
    /// They are connected nowhere as far as is known, but not every server has answered. The message was sent to them.
    pub(crate) unknown: Vec<ClientId>,
    /// No Redis node took the message for them.
    pub(crate) failed: Vec<ClientId>,
}

/// The answer of a client.
#[derive(Debug, Serialize)]
pub(crate) struct Answered {
    answer: Box<RawValue>,
}

/// What services attached to a client; null if nothing.
#[derive(Debug, Serialize)]
pub(crate) struct Attached {
    data: Option<Box<RawValue>>,
}

/// It is done, at every server concerned.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    done: bool,
}
