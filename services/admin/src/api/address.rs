//! Clients and rooms in paths, checked.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wsmesh_adapter::{ClientId, Room};

use crate::problem::Problem;

/// `{id}`: a client.
pub(super) struct OfClient(pub(super) ClientId);

/// `{namespace}/{id}`: a room.
pub(super) struct OfRoom(pub(super) Room);

/// `{id}/rooms/{namespace}/{room}`: a client and a room.
pub(super) struct OfMember(pub(super) ClientId, pub(super) Room);

/// The only variable part of a path, as what it names.
pub(super) struct OfPath<T>(pub(super) T);

#[derive(Deserialize)]
struct MemberPath {
    id: String,
    namespace: String,
    room: String,
}

impl<S: Send + Sync> FromRequestParts<S> for OfClient {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self(ClientId::new(id)?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for OfPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name) = Path::from_request_parts(parts, state).await?;
        Ok(Self(name))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfRoom {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((namespace, id)) = Path::<(String, String)>::from_request_parts(parts, state).await?;
        Ok(Self(Room::new(namespace, id)?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfMember {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(path) = Path::<MemberPath>::from_request_parts(parts, state).await?;
        Ok(Self(ClientId::new(path.id)?, Room::new(path.namespace, path.room)?))
    }
}
