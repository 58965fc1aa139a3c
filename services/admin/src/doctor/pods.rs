//! Kubernetes: whether pods get the time that their servers take to end, whether admin may do what it does, and whether the Redis
//! pods and their StatefulSet are the nodes.

mod graces;
mod rights;
mod stateful_set;

use wsmesh_adapter::StatsPart;

use super::diagnosis::{Finding, Part, count};
use super::evidence::{Cluster, Pods};
use crate::gather::{self, NodesView};

/// Judges what Kubernetes says. Without a cluster (no Redis could be used), only the rights.
pub(crate) fn check(pods: &Pods, cluster: Option<&Cluster>) -> Part {
    let mut findings = rights::check(pods);
    if let Some(cluster) = cluster {
        findings.extend(graces::check(pods, cluster));
        findings.extend(redis(pods, cluster));
        findings.extend(stateful_set::check(pods, cluster));
    }
    let looked_at = format!(
        "namespace {}, {} of servers, {}",
        pods.namespace,
        count(pods.servers.len(), "pod"),
        count(pods.rights.len(), "right")
    );
    Part::new("kubernetes", looked_at, findings)
}

/// The Redis pods against the nodes in use, as `GET /api/v1/nodes` compares them.
fn redis(pods: &Pods, cluster: &Cluster) -> Vec<Finding> {
    let Some(view) = &pods.redis else {
        return Vec::new();
    };
    let answers = cluster.servers.iter().filter_map(|server| {
        let nodes = server.answer.as_ref().ok()?.nodes.clone();
        let part = StatsPart {
            nodes,
            ..StatsPart::default()
        };
        Some((server.name().clone(), part))
    });
    let gathered = wsmesh_adapter::Gathered {
        servers: answers.collect(),
        missing: Vec::new(),
        complete: true,
    };
    let nodes = gather::nodes(cluster.topology.clone(), &gathered);
    let hearing = NodesView {
        warnings: Vec::new(),
        ..nodes
    };
    gather::with_pods(hearing, view.clone())
        .warnings
        .into_iter()
        .map(|warning| {
            Finding::warning(&view.service, warning)
                .because("a pod that nobody uses carries nothing; a node without a pod may be gone for good")
                .fix(format!("kubectl -n {} get pods -o wide", pods.namespace))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wsmesh_adapter::NodeStatus;

    use super::super::diagnosis::Severity;
    use super::super::fixture::{self, about, answer, cluster, id, right};
    use super::*;
    use crate::kubernetes::{Pod, View};

    #[test]
    fn pods_with_enough_time_and_all_rights_have_no_finding() {
        let part = check(&fixture::pods(), Some(&cluster()));
        assert_eq!(part.findings, []);
        assert_eq!(
            part.looked_at.as_deref(),
            Some("namespace games, 2 pods of servers, 2 rights")
        );
    }

    #[test]
    fn rights_are_judged_also_without_a_bus() {
        let mut pods = fixture::pods();
        pods.rights = vec![right("get", Ok(false))];
        assert_eq!(check(&pods, None).findings.len(), 1);
    }

    #[test]
    fn a_redis_pod_that_is_no_node_is_a_warning() {
        let pod = |pod: &str, ip: &str| Pod {
            pod: pod.to_owned(),
            ip: ip.to_owned(),
            ready: true,
        };
        let mut pods = fixture::pods();
        pods.redis = Some(View {
            service: Arc::from("wsmesh-redis"),
            pods: vec![
                pod("redis-0", "10.0.0.1"),
                pod("redis-1", "10.0.0.2"),
                pod("redis-2", "10.0.0.3"),
            ],
            problem: None,
        });
        let mut cluster = cluster();
        for (node, address) in [("redis-0", "10.0.0.1:6379"), ("redis-1", "10.0.0.2:6379")] {
            answer(&mut cluster.servers[0]).nodes.push(NodeStatus {
                id: id(node),
                address: address.to_owned(),
                heard: true,
                rtt_ms: None,
                error: None,
                reconnects: 0,
                gaps: 0,
            });
        }
        let part = check(&pods, Some(&cluster));
        assert_eq!(about(&part), [(Severity::Warning, "wsmesh-redis")]);
        assert_eq!(part.findings[0].what, "no server uses pod redis-2 as a node");
    }
}
