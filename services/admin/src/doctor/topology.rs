//! The map of nodes: who hears which node and how fast, and whether the servers agree with each other and with the doctor's settings.

use std::collections::BTreeSet;

use serde_json::json;
use wsmesh_adapter::{NodeId, NodeState, NodeView, ServerName};

use super::diagnosis::{Finding, Part, count, list};
use super::evidence::Cluster;
use super::fixes::{Fixes, quoted};
use super::slow_nodes;

/// Judges the topology. `None` of it can be known without another server. `unusable` nodes have a finding in the part `redis`.
pub(crate) fn check(cluster: &Cluster, unusable: &BTreeSet<&NodeId>, fixes: &Fixes) -> Part {
    if cluster.servers.is_empty() {
        return Part::skipped("topology", "no other server runs");
    }
    let names: BTreeSet<&ServerName> = cluster.servers.iter().map(|server| server.name()).collect();
    let nodes: Vec<Node<'_>> = cluster.topology.iter().map(|view| Node::new(view, &names)).collect();
    let mut findings = Vec::new();
    for node in &nodes {
        // That nobody hears a Redis that is down is no second fault.
        if !(node.hearing.is_empty() && unusable.contains(node.id())) {
            findings.extend(hearing(node, cluster, fixes));
        }
        findings.extend(agreement(node, fixes));
        findings.extend(settings(node, cluster, fixes));
    }
    for node in &nodes {
        findings.extend(divided(node, cluster));
    }
    findings.extend(common_ground(&nodes));
    findings.extend(slow_nodes::check(cluster, fixes));
    findings.extend(cut_off(cluster, fixes));
    let wanted: Vec<_> = nodes.iter().filter(|node| node.is_to_be_heard()).collect();
    let heard = wanted.iter().filter(|node| !node.hearing.is_empty()).count();
    let of_all = match heard == wanted.len() {
        true => String::new(),
        false => format!("{heard} of "),
    };
    let in_use = format!("{of_all}{} in use", count(wanted.len(), "node"));
    Part::new(
        "topology",
        format!("{in_use}, {}", count(names.len(), "server")),
        findings,
    )
}

/// A node, as the other servers report it.
struct Node<'a> {
    view: &'a NodeView,
    hearing: Vec<&'a ServerName>,
    deaf: Vec<&'a ServerName>,
    /// Servers that do not have it in their maps.
    unaware: Vec<&'a ServerName>,
    /// The states in the servers' maps.
    states: BTreeSet<&'static str>,
}

impl<'a> Node<'a> {
    fn new(view: &'a NodeView, names: &BTreeSet<&ServerName>) -> Self {
        let mut node = Self {
            view,
            hearing: Vec::new(),
            deaf: Vec::new(),
            unaware: Vec::new(),
            states: BTreeSet::new(),
        };
        for at in view.servers.iter().filter(|at| names.contains(&at.server)) {
            match at.hears {
                true => node.hearing.push(&at.server),
                false => node.deaf.push(&at.server),
            }
            match at.state {
                Some(state) => _ = node.states.insert(word(state)),
                None => node.unaware.push(&at.server),
            }
        }
        node
    }

    fn id(&self) -> &'a NodeId {
        &self.view.id
    }

    /// Whether any other server has it in its map.
    fn is_known(&self) -> bool {
        !self.states.is_empty()
    }

    fn is_to_be_heard(&self) -> bool {
        self.is_known() && matches!(self.view.state, NodeState::Active | NodeState::Joining)
    }
}

/// As the API writes it; a server's own map knows no joining.
fn word(state: NodeState) -> &'static str {
    match state {
        NodeState::Joining | NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Gone => "gone",
    }
}

fn hearing(node: &Node<'_>, cluster: &Cluster, fixes: &Fixes) -> Option<Finding> {
    if node.view.state == NodeState::Draining {
        return Some(
            Finding::note(node.id(), "it is draining: nobody publishes through it any more")
                .because("it is gone after the replay window; then its process may be stopped")
                .fix(fixes.api("/nodes", "")),
        );
    }
    if !node.is_to_be_heard() || node.deaf.is_empty() {
        return None;
    }
    let deaf = list(&node.deaf);
    let reasons: BTreeSet<&str> = cluster
        .servers
        .iter()
        .filter(|server| node.deaf.contains(&server.name()))
        .filter_map(|server| server.answer.as_ref().ok())
        .flat_map(|answer| &answer.nodes)
        .filter(|status| status.id == *node.id())
        .filter_map(|status| status.error.as_deref())
        .collect();
    let mut what = match node.hearing.len() {
        0 => "no server hears it".to_owned(),
        _ => format!(
            "{deaf} {} not hear it",
            if node.deaf.len() == 1 { "does" } else { "do" }
        ),
    };
    if !reasons.is_empty() {
        what += &format!(" ({})", reasons.into_iter().collect::<Vec<_>>().join("; "));
    }
    let finding = match node.hearing.len() {
        0 => Finding::problem(node.id(), what),
        _ => Finding::warning(node.id(), what),
    };
    let why = match node.hearing.len() {
        0 => {
            "messages take the other nodes. A node that was added is joining until every server hears it; one that will not come back is \
             removed with DELETE /api/v1/nodes/ID"
        }
        _ => {
            "only nodes that everyone concerned hears carry messages: the other nodes have its share now. A node that was added is joining \
             until every server hears it"
        }
    };
    let fix = match (node.hearing.as_slice(), node.deaf.as_slice()) {
        ([_, ..], [server, ..]) => fixes.logs(server.as_str()),
        _ => {
            let url = node.view.url.split(['#', '?']).next().unwrap_or_default();
            format!("redis-cli -u {} ping", quoted(url))
        }
    };
    Some(finding.because(why).fix(fix))
}

/// Whether servers that hear the node reach different Redis under its id.
fn divided(node: &Node<'_>, cluster: &Cluster) -> Option<Finding> {
    let answers = cluster.servers.iter().filter_map(|server| server.answer.as_ref().ok());
    let statuses = answers.flat_map(|answer| &answer.nodes);
    let mut divided = statuses.filter(|status| status.heard && status.id == *node.id());
    let error = divided.find_map(|status| status.error.clone())?;
    Some(
        Finding::problem(node.id(), error)
            .because("servers that reach different Redis under one id do not use the node between them: it is no reserve")
            .fix("give each Redis a name of its own; see --redis of these servers, and what the name in its URL leads to: getent ahosts HOST"),
    )
}

/// Whether the servers' maps are the same, once news had time to travel.
fn agreement(node: &Node<'_>, fixes: &Fixes) -> Option<Finding> {
    if !node.is_known() {
        return None;
    }
    let what = match (node.states.len(), node.unaware.as_slice()) {
        (1, []) => return None,
        // A server that forgot a node that is gone was started after that.
        (1, _) if node.states.contains("gone") => return None,
        (1, unaware) => format!("it is not in the topology of {}", list(unaware)),
        _ => format!("servers have it in different states: {}", list(&node.states)),
    };
    Some(
        Finding::warning(node.id(), what)
            .because("news of nodes travel in beacons within seconds: these servers do not receive each other's")
            .fix(fixes.api("/nodes", "")),
    )
}

/// Whether the node is where these settings say.
fn settings(node: &Node<'_>, cluster: &Cluster, fixes: &Fixes) -> Option<Finding> {
    let id = node.id();
    let configured = cluster.configured.iter().find(|(configured, _)| configured == id);
    match (configured, node.is_known(), node.view.state) {
        (Some((_, url)), false, _) => Some(
            Finding::warning(id, "it is in these settings (--redis), and no server uses it")
                .because(
                    "a server that starts with these settings brings it to all others; until then it carries nothing",
                )
                .fix(fixes.api_json("/nodes", &json!({"url": url}))),
        ),
        (Some(_), true, NodeState::Draining | NodeState::Gone) => Some(
            Finding::warning(id, "it is in these settings (--redis), and was removed")
                .because("after a restart of all servers at once, only configured nodes are known: it would be back")
                .fix(format!("export WSMESH_REDIS={}", setting(cluster, |other| other != id))),
        ),
        (None, true, NodeState::Active | NodeState::Joining) => Some(
            Finding::warning(id, "all use it, and it is not in these settings (--redis)")
                .because(
                    "after a restart of all servers at once, only configured nodes are known: it would be forgotten",
                )
                .fix(format!("export WSMESH_REDIS={}", setting(cluster, |_| true))),
        ),
        _ => None,
    }
}

/// The nodes as `--redis` should have them: those that servers use, as far as `wanted`.
fn setting(cluster: &Cluster, wanted: impl Fn(&NodeId) -> bool) -> String {
    let own = |id: &NodeId| cluster.configured.iter().find(|(configured, _)| configured == id);
    let in_use = cluster
        .topology
        .iter()
        .filter(|node| matches!(node.state, NodeState::Active | NodeState::Joining) && wanted(&node.id));
    let urls: Vec<&str> = in_use
        .map(|node| own(&node.id).map_or(node.url.as_str(), |(_, url)| url))
        .collect();
    quoted(&urls.join(","))
}

/// Whether there is a node that carries messages for everyone, and another if it fails.
fn common_ground(nodes: &[Node<'_>]) -> Option<Finding> {
    let in_use: Vec<_> = nodes.iter().filter(|node| node.is_to_be_heard()).collect();
    let heard_by_all = in_use.iter().filter(|node| node.deaf.is_empty()).count();
    match (in_use.len(), heard_by_all) {
        (0, _) => None,
        (1, 1) => Some(
            Finding::note("nodes", "there is only one Redis node")
                .because("while it is away, messages wait, and are lost after the replay window; a second one takes over at once")
                .fix("add a second one: see \"Redis nodes at run time\" in the README of admin"),
        ),
        (_, 0) => Some(
            Finding::problem("nodes", "no node is heard by all servers")
                .because("messages for everyone go through several nodes at once, and servers that share none get nothing")
                .fix("mend the nodes above, or the network between them and these servers"),
        ),
        _ => None,
    }
}

/// Servers that hear no node at all.
fn cut_off(cluster: &Cluster, fixes: &Fixes) -> Vec<Finding> {
    let deaf = cluster
        .servers
        .iter()
        .filter(|server| server.info.heard.is_empty() && server.info.counted);
    deaf.map(|server| {
        Finding::problem(server.name(), "it hears no Redis node")
            .because("it is cut off: its clients get nothing from other servers, and others nothing from its clients")
            .fix(fixes.logs(server.name().as_str()))
    })
    .collect()
}

#[cfg(test)]
#[path = "topology_tests.rs"]
mod tests;
