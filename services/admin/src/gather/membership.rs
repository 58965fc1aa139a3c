//! What is not as it should be with the Redis nodes, compared with their StatefulSet. Plain values.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wsmesh_adapter::NodeId;

use crate::shapes::Name;

/// The nodes that there should be, and what is not so yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Membership)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MembershipView {
    /// The admin that follows the StatefulSet, as this admin knows it.
    #[schema(value_type = Option<Name>, required = true)]
    pub(crate) leader: Option<String>,
    /// How many pods the StatefulSet shall have; null while that is not known.
    #[schema(required = true)]
    pub(crate) replicas: Option<u32>,
    /// Nodes that are not as they should be, by id.
    pub(crate) differences: Vec<NodeDifference>,
    /// Why nothing is done about the differences; null if that is done.
    #[schema(required = true)]
    pub(crate) problem: Option<String>,
}

/// A node that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeDifference {
    #[schema(value_type = Name)]
    pub(crate) node: NodeId,
    pub(crate) lack: Lack,
    /// What is wrong; null if it only takes its time.
    #[schema(required = true)]
    pub(crate) problem: Option<String>,
}

/// waiting: its pod is not ready; joining: it is being checked and added; refused: it could not be added, and is tried again; leaving: the
/// StatefulSet does not have it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lack {
    Waiting,
    Joining,
    Refused,
    Leaving,
}
