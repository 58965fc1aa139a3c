//! Asks each configured Redis directly, all at once: no bus and no other server is needed.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use wsmesh_adapter::{CheckKind, FactsOfNode, NodeUrl, Options, preflight_alone};

use super::super::evidence::Node;
use super::super::fixes::redis_cli;

/// Longest wait for the preflight of one node.
const PREFLIGHT: Duration = Duration::from_secs(8);

/// The preflight of every node.
pub(super) async fn look(urls: &[NodeUrl], options: &Options) -> Vec<Node> {
    let looking = urls.iter().map(|url| async move {
        let preflight = timeout(PREFLIGHT, preflight_alone(url, options)).await;
        Node {
            id: url.id().clone(),
            cli: redis_cli(url),
            preflight: Some(preflight.map_err(|_| format!("did not answer within {} s", PREFLIGHT.as_secs()))),
            facts: None,
        }
    });
    join_all(looking).await
}

/// Whether the bus can be joined through a node.
pub(super) fn is_usable(node: &Node) -> bool {
    // The others are faults that other servers bear, too.
    let needed = |kind| !matches!(kind, CheckKind::Version | CheckKind::OutputBuffer | CheckKind::Identity);
    match &node.preflight {
        Some(Ok(preflight)) => !preflight.failures().any(|check| needed(check.what)),
        _ => false,
    }
}

/// Adds what the nodes say about themselves, also nodes that are in the topology only.
pub(super) fn add_facts(nodes: &mut Vec<Node>, facts: Vec<FactsOfNode>) {
    for FactsOfNode { id, facts } in facts {
        match nodes.iter_mut().find(|node| node.id == id) {
            Some(node) => node.facts = Some(facts),
            None => nodes.push(Node {
                cli: "redis-cli".to_owned(),
                preflight: None,
                facts: Some(facts),
                id,
            }),
        }
    }
}
