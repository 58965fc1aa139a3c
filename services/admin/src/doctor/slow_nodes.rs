//! Nodes that all servers hear and that are slow: messages wait in them.

use wsmesh_adapter::NodeId;

use super::diagnosis::Finding;
use super::evidence::Cluster;
use super::fixes::{Fixes, quoted};
use crate::gather::{self, Slow};

/// Judges the last probes of all servers that answered.
pub(super) fn check(cluster: &Cluster, fixes: &Fixes) -> Vec<Finding> {
    let answers = cluster.servers.iter().filter_map(|server| server.answer.as_ref().ok());
    let round_trips = gather::round_trips_of(answers.flat_map(|answer| &answer.nodes), &cluster.topology);
    let slow = cluster
        .topology
        .iter()
        .filter_map(|node| Some((node, round_trips.slow(&node.id)?)));
    slow.map(|(node, slow)| {
        let url = quoted(node.url.split(['#', '?']).next().unwrap_or_default());
        Finding::warning(&node.id, format!("it is slow: {slow}"))
            .because(
                "it is heard, so it carries its share of the messages, and each of them waits in it: its machine or its pod lacks CPU, a \
                 command keeps it busy, or the network to it is slow",
            )
            .fix(format!(
                "redis-cli -u {url} --latency\n\
                 redis-cli -u {url} slowlog get 10{}",
                take_out(&slow, &node.id, fixes)
            ))
    })
    .collect()
}

/// What takes the node out, if a faster one can carry its messages.
fn take_out(slow: &Slow, node: &NodeId, fixes: &Fixes) -> String {
    if slow.fastest.is_none() {
        return String::new();
    }
    let order = fixes.api(&format!("/nodes/{node}"), "-X DELETE");
    format!("\n{order}   # if it stays slow: takes it out, and nothing is lost")
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::{NodeState, NodeStatus};

    use super::super::diagnosis::Severity;
    use super::super::fixture::{answer, cluster, fixes, id};
    use super::*;

    fn measured(node: &str, rtt_ms: f64, heard: bool) -> NodeStatus {
        NodeStatus {
            id: id(node),
            address: format!("{node}.example:6379"),
            heard,
            rtt_ms: Some(rtt_ms),
            error: None,
            reconnects: 0,
            gaps: 0,
        }
    }

    /// What is found if the servers measured this through the second node.
    fn found(second: [f64; 3], heard: bool) -> Vec<Finding> {
        let mut cluster = cluster();
        for (server, ms) in cluster.servers.iter_mut().zip(second) {
            answer(server).nodes = vec![measured("redis-0", 0.4, true), measured("redis-1", ms, heard)];
        }
        check(&cluster, &fixes())
    }

    #[test]
    fn a_node_that_is_slow_for_most_servers_is_a_warning_that_says_what_to_do() {
        let findings = found([0.5, 180.0, 210.0], true);
        assert_eq!(findings.len(), 1, "{findings:?}");
        let Finding {
            severity,
            about,
            what,
            fix,
            ..
        } = &findings[0];
        assert_eq!((*severity, about.as_str()), (Severity::Warning, "redis-1"));
        assert_eq!(
            what,
            "it is slow: a probe takes 180 ms through it, and 0.4 ms through redis-0"
        );
        assert!(
            fix.contains("redis-cli -u redis://redis-1.example:6379 --latency") && fix.contains("-X DELETE"),
            "{fix}"
        );
    }

    #[test]
    fn a_node_that_is_slow_for_one_server_or_that_nobody_hears_is_not_slow() {
        assert_eq!(found([0.5, 0.4, 210.0], true), []);
        assert_eq!(found([500.0, 500.0, 500.0], false), []);
    }

    #[test]
    fn a_node_that_leaves_is_neither_slow_nor_what_others_are_compared_with() {
        let found = |leaving: usize, first: f64, second: f64| {
            let mut cluster = cluster();
            cluster.topology[leaving].state = NodeState::Draining;
            for server in &mut cluster.servers {
                answer(server).nodes = vec![measured("redis-0", first, true), measured("redis-1", second, true)];
            }
            check(&cluster, &fixes())
        };
        assert_eq!(found(1, 0.4, 500.0), [], "redis-1 leaves");
        assert_eq!(
            found(0, 0.1, 30.0),
            [],
            "redis-0 leaves, so nothing is faster than redis-1"
        );
    }

    #[test]
    fn a_node_is_not_to_be_taken_out_if_all_are_slow() {
        let mut cluster = cluster();
        for server in &mut cluster.servers {
            answer(server).nodes = vec![measured("redis-0", 150.0, true), measured("redis-1", 160.0, true)];
        }
        let findings = check(&cluster, &fixes());
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(
            findings.iter().all(|finding| !finding.fix.contains("DELETE")),
            "{findings:?}"
        );
    }
}
