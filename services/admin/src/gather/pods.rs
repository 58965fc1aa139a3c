//! Compares the Redis nodes with the pods that Kubernetes has for them, and says what is not as their StatefulSet has it.

use std::collections::BTreeSet;

use super::membership::MembershipView;
use super::nodes::{NodeView, NodesView};
use crate::kubernetes::{Pod, View};

/// Adds the pods and what is wrong with them.
pub(crate) fn with_pods(mut nodes: NodesView, view: View) -> NodesView {
    nodes.warnings.extend(warnings(&view, &nodes.nodes));
    nodes.kubernetes = Some(view.pods);
    nodes
}

/// Adds what is not as the StatefulSet has it.
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

/// Pods that no server uses as a node, nodes without a pod, or why the view may be wrong.
fn warnings(view: &View, nodes: &[NodeView]) -> Vec<String> {
    let service = &view.service;
    if let Some(problem) = &view.problem {
        // Comparing with a list that may be out of date would be misleading.
        return vec![format!(
            "the list of pods of Service {service} may be out of date: {problem}"
        )];
    }
    let mut unused: BTreeSet<&str> = view.pods.iter().map(|pod| pod.pod.as_str()).collect();
    let mut warnings = Vec::new();
    for node in nodes.iter().filter(|node| node.is_in_use()) {
        let mut found = false;
        for pod in view.pods.iter().filter(|pod| is_node(service, pod, node)) {
            unused.remove(pod.pod.as_str());
            found = true;
        }
        if !found {
            warnings.push(format!("node {} has no pod in Service {service}", node.id));
        }
    }
    warnings.extend(unused.iter().map(|pod| format!("no server uses pod {pod} as a node")));
    warnings
}

/// Whether the pod is this node: an address of the node is the pod's IP, or its name in the headless Service.
fn is_node(service: &str, pod: &Pod, node: &NodeView) -> bool {
    node.addresses.iter().any(|address| {
        let host = host(address);
        if host == pod.ip {
            return true;
        }
        let mut labels = host.split('.');
        labels.next() == Some(&pod.pod) && labels.next().is_none_or(|label| label == service)
    })
}

/// `host` of `host:port` or `[host]:port`.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use wsmesh_adapter::{NodeId, NodeState};

    use super::*;
    use crate::gather::{Lack, NodeDifference};

    fn pod(pod: &str, ip: &str) -> Pod {
        Pod {
            pod: pod.to_owned(),
            ip: ip.to_owned(),
            ready: true,
        }
    }

    fn node(id: &str, address: &str) -> NodeView {
        NodeView {
            id: NodeId::new(id).expect("an id"),
            url: Some(format!("redis://{address}#{id}")),
            epoch: Some(1),
            state: Some(NodeState::Active),
            addresses: BTreeSet::from([address.to_owned()]),
            heard_by: Vec::new(),
            not_heard_by: Vec::new(),
            rtt_ms: None,
            slow: None,
            facts: None,
            facts_error: None,
            facts_age_ms: None,
        }
    }

    fn view(pods: Vec<Pod>) -> View {
        View {
            service: Arc::from("wsmesh-redis"),
            pods,
            problem: None,
        }
    }

    #[test]
    fn a_pod_is_found_by_ip_short_name_or_name_in_its_service() {
        let (first, second) = (pod("redis-0", "10.0.0.1"), pod("redis-1", "fd00::1"));
        let is_node = |pod: &Pod, address| super::is_node("wsmesh-redis", pod, &node("n", address));
        for address in [
            "10.0.0.1:6379",
            "redis-0:6379",
            "redis-0.wsmesh-redis:6379",
            "redis-0.wsmesh-redis.game.svc.cluster.local:6379",
        ] {
            assert!(is_node(&first, address), "{address}");
        }
        assert!(is_node(&second, "[fd00::1]:6379"));
        assert!(!is_node(&first, "redis-0.other:6379"));
        assert!(!is_node(&first, "redis-01:6379"));
    }

    #[test]
    fn pods_without_a_node_and_nodes_without_a_pod_are_warnings() {
        let view = view(vec![pod("redis-0", "10.0.0.1"), pod("redis-1", "10.0.0.2")]);
        let nodes = [node("a", "10.0.0.1:6379"), node("b", "192.0.2.1:6379")];
        assert_eq!(
            warnings(&view, &nodes),
            [
                "node b has no pod in Service wsmesh-redis",
                "no server uses pod redis-1 as a node"
            ]
        );
    }

    #[test]
    fn a_list_that_may_be_out_of_date_gives_no_other_warning() {
        let mut view = view(Vec::new());
        view.problem = Some("forbidden".to_owned());
        assert_eq!(
            warnings(&view, &[node("a", "10.0.0.1:6379")]),
            ["the list of pods of Service wsmesh-redis may be out of date: forbidden"]
        );
    }

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
