//! The StatefulSet of the Redis pods: whether each of its pods is a node, and whether a node has left before its pod ends.

use std::time::Duration;

use wsmesh_adapter::NodeState;

use super::super::diagnosis::{Finding, list};
use super::super::evidence::{Cluster, Pods, RedisSet};

/// Most missing nodes that are named.
const MOST: usize = 10;

/// Judges the StatefulSet, if there is one.
pub(super) fn check(pods: &Pods, cluster: &Cluster) -> Vec<Finding> {
    let Some(set) = &pods.stateful_set else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    match &set.replicas {
        Ok(replicas) => findings.extend(nodes(pods, set, *replicas, cluster)),
        Err(why) => findings.push(
            Finding::warning(&set.name, format!("how many pods it shall have is not known: {why}"))
                .because("admin cannot scale it then, and does not know which pods should be nodes")
                .fix(format!("kubectl -n {} get statefulset {}", pods.namespace, set.name)),
        ),
    }
    findings.extend(ending(pods, set));
    findings
}

/// Pods that are not nodes, and nodes whose pods it does not keep.
fn nodes(pods: &Pods, set: &RedisSet, replicas: u32, cluster: &Cluster) -> Vec<Finding> {
    let is_used = |state| matches!(state, NodeState::Active | NodeState::Joining);
    let used = cluster.topology.iter().filter(|node| is_used(node.state));
    let used: Vec<_> = used
        .filter_map(|node| Some((set.names.ordinal_of(&node.url)?, node.id.as_str())))
        .collect();
    let missing = (0..replicas).filter(|ordinal| !used.iter().any(|(known, _)| known == ordinal));
    let missing: Vec<_> = missing.take(MOST).map(|ordinal| set.names.pod(ordinal)).collect();
    let leaving: Vec<_> = used.iter().filter(|(ordinal, _)| *ordinal >= replicas).collect();
    let mut findings = Vec::new();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(String::as_str).collect();
        let what = format!("it has {replicas} replicas, and no node is {}", list(&names));
        findings.push(
            Finding::warning(&set.name, what)
                .because("a pod becomes a node when it is ready and several servers can use it")
                .fix(format!(
                    "kubectl -n {} get pods {}   # and membership in GET /api/v1/nodes says what is wrong",
                    pods.namespace,
                    names.join(" ")
                )),
        );
    }
    if !leaving.is_empty() {
        let names: Vec<_> = leaving.iter().map(|(_, id)| *id).collect();
        let what = format!("it has {replicas} replicas, and {} should have left", list(&names));
        findings.push(
            Finding::warning(&set.name, what)
                .because("servers wait for nodes that do not come back when they start")
                .fix(format!(
                    "kubectl -n {} logs -l app.kubernetes.io/component=admin --tail 100   # the admin that leads removes them",
                    pods.namespace
                )),
        );
    }
    findings
}

/// Whether a Redis pod lives long enough for its node to leave.
fn ending(pods: &Pods, set: &RedisSet) -> Option<Finding> {
    let times = set.times.as_ref().ok()?;
    let is_long =
        Duration::from_secs(times.sleep_seconds) > set.replay_window && times.grace_seconds > times.sleep_seconds;
    if is_long {
        return None;
    }
    let what = format!(
        "its pods end {} s after they are told to (grace period {} s), and a node takes more than {} s to leave",
        times.sleep_seconds,
        times.grace_seconds,
        set.replay_window.as_secs_f64()
    );
    let finding = Finding::warning(&set.name, what)
        .because("what servers sent through a Redis that ends before its node has left is sent again later")
        .fix(format!(
            "kubectl -n {} get statefulset {} -o yaml   # lifecycle.preStop.sleep must be longer, and \
             terminationGracePeriodSeconds longer than that: the chart sets both",
            pods.namespace, set.name
        ));
    Some(finding)
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::NodeView;

    use super::super::super::diagnosis::Severity;
    use super::super::super::evidence::GraceTimes;
    use super::super::super::fixture::{cluster, id};
    use super::*;
    use crate::kubernetes::PodNames;

    fn pods(replicas: Result<u32, String>, sleep_seconds: u64, grace_seconds: u64) -> Pods {
        Pods {
            namespace: "games".to_owned(),
            account: "wsmesh-admin".to_owned(),
            redis: None,
            stateful_set: Some(RedisSet {
                name: "redis".to_owned(),
                replicas,
                times: Ok(GraceTimes {
                    grace_seconds,
                    sleep_seconds,
                }),
                names: PodNames::embedded("redis"),
                replay_window: Duration::from_secs(6),
            }),
            servers: Vec::new(),
            rights: Vec::new(),
        }
    }

    fn with_nodes(nodes: &[(&str, NodeState)]) -> Cluster {
        let node = |(node, state): &(&str, NodeState)| NodeView {
            id: id(node),
            url: format!("memory:{node}"),
            epoch: 1,
            state: *state,
            servers: Vec::new(),
        };
        Cluster {
            topology: nodes.iter().map(node).collect(),
            ..cluster()
        }
    }

    fn whats(pods: &Pods, nodes: &[(&str, NodeState)]) -> Vec<String> {
        let findings = check(pods, &with_nodes(nodes));
        assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_stateful_set_whose_pods_are_the_nodes_has_no_finding() {
        let nodes = [
            ("redis-0", NodeState::Active),
            ("redis-1", NodeState::Gone),
            ("other", NodeState::Active),
        ];
        assert_eq!(whats(&pods(Ok(1), 10, 15), &nodes), [] as [&str; 0]);
    }

    #[test]
    fn pods_that_are_not_nodes_and_nodes_that_should_have_left_are_named() {
        let nodes = [
            ("redis-0", NodeState::Active),
            ("redis-1", NodeState::Draining),
            ("redis-5", NodeState::Active),
        ];
        assert_eq!(
            whats(&pods(Ok(3), 10, 15), &nodes),
            [
                "it has 3 replicas, and no node is redis-1 and redis-2",
                "it has 3 replicas, and redis-5 should have left"
            ]
        );
    }

    #[test]
    fn a_pod_that_ends_before_its_node_has_left_is_a_warning() {
        let nodes = [("redis-0", NodeState::Active)];
        for (sleep, grace) in [(0, 30), (6, 30), (10, 10)] {
            let whats = whats(&pods(Ok(1), sleep, grace), &nodes);
            assert!(whats.len() == 1 && whats[0].contains("to leave"), "{whats:?}");
        }
    }

    #[test]
    fn the_time_that_a_node_takes_to_leave_is_the_replay_window_of_the_settings() {
        let nodes = [("redis-0", NodeState::Active)];
        let mut pods = pods(Ok(1), 10, 15);
        if let Some(set) = &mut pods.stateful_set {
            set.replay_window = Duration::from_millis(10_500);
        }
        let whats = whats(&pods, &nodes);
        assert!(whats.len() == 1 && whats[0].contains("more than 10.5 s"), "{whats:?}");
    }

    #[test]
    fn a_stateful_set_that_cannot_be_read_is_a_warning_without_others() {
        let whats = whats(&pods(Err("forbidden".to_owned()), 10, 15), &[]);
        assert_eq!(whats, ["how many pods it shall have is not known: forbidden"]);
    }
}
