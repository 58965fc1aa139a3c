use wsmesh_adapter::{NodeAtServer, NodeStatus};

use super::super::diagnosis::Severity;
use super::super::fixture::{about, answer, cluster, fixes, id, name, node, only, url};
use super::*;

fn check(cluster: &Cluster) -> Part {
    super::check(cluster, &BTreeSet::new(), &fixes())
}

fn deafen(view: &mut NodeView, servers: &[&str]) {
    let deaf = |at: &&mut NodeAtServer| servers.contains(&at.server.as_str());
    view.servers.iter_mut().filter(deaf).for_each(|at| at.hears = false);
}

#[test]
fn a_topology_without_faults_has_no_finding() {
    let part = check(&cluster());
    assert_eq!(
        (part.findings.len(), part.looked_at.as_deref()),
        (0, Some("2 nodes in use, 3 servers"))
    );
}

#[test]
fn without_other_servers_there_is_nothing_to_compare() {
    let mut alone = cluster();
    alone.servers.clear();
    assert_eq!(check(&alone).skipped.as_deref(), Some("no other server runs"));
}

#[test]
fn a_server_that_does_not_hear_a_node_is_named_with_its_error() {
    let mut cluster = cluster();
    deafen(&mut cluster.topology[1], &["ws-1"]);
    answer(&mut cluster.servers[2]).nodes.push(NodeStatus {
        id: id("redis-1"),
        address: "redis-1.example:6379".to_owned(),
        heard: false,
        rtt_ms: None,
        error: Some("connection refused".to_owned()),
        reconnects: 1,
        gaps: 0,
    });
    let part = check(&cluster);
    assert_eq!(
        (only(&part).severity, only(&part).what.as_str()),
        (Severity::Warning, "ws-1 does not hear it (connection refused)")
    );
}

#[test]
fn servers_that_reach_different_redis_under_one_id_are_a_problem() {
    let mut cluster = cluster();
    answer(&mut cluster.servers[2]).nodes.push(NodeStatus {
        id: id("redis-1"),
        address: "redis:6379".to_owned(),
        heard: true,
        rtt_ms: Some(0.2),
        error: Some("redis-1 is another Redis for this server than for ws-0".to_owned()),
        reconnects: 0,
        gaps: 0,
    });
    let part = check(&cluster);
    assert_eq!(
        (only(&part).severity, only(&part).what.as_str()),
        (
            Severity::Problem,
            "redis-1 is another Redis for this server than for ws-0"
        )
    );
}

#[test]
fn the_doctor_itself_and_servers_without_a_map_do_not_count() {
    let mut cluster = cluster();
    cluster.topology[1].servers.push(NodeAtServer {
        server: name("doctor-1"),
        state: Some(NodeState::Active),
        hears: false,
    });
    assert_eq!(check(&cluster).findings, []);
}

#[test]
fn a_node_that_no_server_hears_is_a_problem_also_while_it_is_joining() {
    for state in [NodeState::Active, NodeState::Joining] {
        let mut cluster = cluster();
        cluster.topology[1].state = state;
        deafen(&mut cluster.topology[1], &["admin-0", "ws-0", "ws-1"]);
        let part = check(&cluster);
        assert_eq!(
            (only(&part).severity, only(&part).what.as_str()),
            (Severity::Problem, "no server hears it")
        );
    }
}

#[test]
fn a_node_that_is_down_is_not_said_to_be_in_use_and_has_no_second_finding_here() {
    let mut cluster = cluster();
    deafen(&mut cluster.topology[1], &["admin-0", "ws-0", "ws-1"]);
    let down = id("redis-1");
    let part = super::check(&cluster, &BTreeSet::from([&down]), &fixes());
    assert_eq!(
        (part.findings.len(), part.looked_at.as_deref()),
        (0, Some("1 of 2 nodes in use, 3 servers"))
    );
    cluster.topology[1].servers[0].hears = true;
    let part = super::check(&cluster, &BTreeSet::from([&down]), &fixes());
    assert_eq!(only(&part).what, "ws-0 and ws-1 do not hear it");
}

#[test]
fn servers_without_a_common_node_are_a_problem() {
    let mut cluster = cluster();
    deafen(&mut cluster.topology[0], &["ws-0"]);
    deafen(&mut cluster.topology[1], &["ws-1"]);
    let part = check(&cluster);
    assert_eq!(
        about(&part),
        [
            (Severity::Problem, "nodes"),
            (Severity::Warning, "redis-0"),
            (Severity::Warning, "redis-1")
        ]
    );
}

#[test]
fn a_server_that_hears_nothing_is_a_problem() {
    let mut cluster = cluster();
    cluster.servers[1].info.heard.clear();
    let part = check(&cluster);
    assert_eq!(
        (only(&part).severity, only(&part).about.as_str()),
        (Severity::Problem, "ws-0")
    );
}

#[test]
fn a_draining_node_is_a_note_if_it_is_out_of_the_settings_and_a_warning_if_it_is_not() {
    let mut cluster = cluster();
    cluster.topology[1].state = NodeState::Draining;
    deafen(&mut cluster.topology[1], &["ws-0"]);
    for at in &mut cluster.topology[1].servers {
        at.state = Some(NodeState::Draining);
    }
    let part = check(&cluster);
    let severities: Vec<_> = about(&part).into_iter().map(|(severity, _)| severity).collect();
    // And the other one is the only one left.
    assert_eq!(severities, [Severity::Warning, Severity::Note, Severity::Note]);
    assert_eq!(
        part.findings[0].fix,
        "export WSMESH_REDIS=redis://redis-0.example:6379#redis-0"
    );
    cluster.configured.pop();
    let part = check(&cluster);
    assert_eq!(about(&part), [(Severity::Note, "redis-1"), (Severity::Note, "nodes")]);
}

#[test]
fn a_configured_node_that_nobody_uses_can_be_added() {
    let mut cluster = cluster();
    cluster.configured.push((id("redis-2"), url("redis-2")));
    let mut view = node("redis-2", &["admin-0", "ws-0", "ws-1"]);
    for at in &mut view.servers {
        (at.state, at.hears) = (None, false);
    }
    cluster.topology.push(view);
    let part = check(&cluster);
    assert_eq!(
        only(&part).fix,
        "curl http://127.0.0.1:9100/api/v1/nodes -H 'content-type: application/json' \
         -d '{\"url\":\"redis://redis-2.example:6379#redis-2\"}'"
    );
}

#[test]
fn a_node_that_was_added_at_run_time_is_to_be_put_into_the_settings() {
    let mut cluster = cluster();
    cluster.configured.pop();
    let part = check(&cluster);
    assert_eq!(only(&part).severity, Severity::Warning);
    assert_eq!(
        only(&part).fix,
        "export WSMESH_REDIS=redis://redis-0.example:6379#redis-0,redis://redis-1.example:6379#redis-1"
    );
}

#[test]
fn servers_that_do_not_agree_on_a_node_are_a_warning_and_a_late_one_that_forgot_a_node_is_not() {
    let mut cluster = cluster();
    cluster.topology[1].servers[2].state = None;
    let part = check(&cluster);
    assert_eq!(only(&part).what, "it is not in the topology of ws-1");
    cluster.topology[1].servers[2].state = Some(NodeState::Draining);
    let part = check(&cluster);
    assert_eq!(
        only(&part).what,
        "servers have it in different states: active and draining"
    );
    cluster.topology[1].state = NodeState::Gone;
    cluster.configured.pop();
    for at in &mut cluster.topology[1].servers {
        at.state = Some(NodeState::Gone);
    }
    cluster.topology[1].servers[2].state = None;
    assert_eq!(
        about(&check(&cluster)),
        [(Severity::Note, "nodes")],
        "only one node is left"
    );
}
