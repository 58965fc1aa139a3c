//! What is not as it should be with the Redis nodes, compared with their StatefulSet. Plain values.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wsmesh_adapter::NodeId;

use super::nodes::NodesView;
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

/// Adds what is not as it should be.
pub(crate) fn with_membership(mut nodes: NodesView, view: MembershipView) -> NodesView {
    if let Some(problem) = &view.problem {
        nodes
            .warnings
            .push(format!("the Redis nodes do not follow their StatefulSet: {problem}"));
    }
    let warnings = view.differences.iter().filter_map(|difference| {
        let problem = difference.problem.as_ref()?;
        Some(format!("node {}: {problem}", difference.node))
    });
    nodes.warnings.extend(warnings);
    nodes.membership = Some(view);
    nodes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn difference(node: &str, lack: Lack, problem: Option<&str>) -> NodeDifference {
        NodeDifference {
            node: NodeId::new(node).expect("an id"),
            lack,
            problem: problem.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_wrong_is_a_warning_and_what_takes_its_time_is_none() {
        let nodes = NodesView {
            nodes: Vec::new(),
            kubernetes: None,
            membership: None,
            warnings: Vec::new(),
        };
        let view = MembershipView {
            leader: Some("admin-1".to_owned()),
            replicas: Some(4),
            differences: vec![
                difference("redis-2", Lack::Joining, None),
                difference("redis-3", Lack::Refused, Some("wrong password")),
            ],
            problem: Some("nobody leads".to_owned()),
        };
        let nodes = with_membership(nodes, view);
        assert_eq!(
            nodes.warnings,
            [
                "the Redis nodes do not follow their StatefulSet: nobody leads",
                "node redis-3: wrong password"
            ]
        );
        assert_eq!(
            json!(nodes.membership),
            json!({"leader": "admin-1", "replicas": 4, "problem": "nobody leads", "differences": [
                {"node": "redis-2", "lack": "joining", "problem": null},
                {"node": "redis-3", "lack": "refused", "problem": "wrong password"},
            ]})
        );
    }
}
