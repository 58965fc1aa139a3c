//! What changed in the cluster between two snapshots, in words: servers that come, go or change their state, nodes that do, and
//! nodes that are heard by fewer or by all again.

use std::collections::BTreeMap;

use wsmesh_adapter::{NodeId, NodeState, ServerName};

use super::snapshot::Snapshot;

/// Most changes of one second that are told by themselves.
const MOST: usize = 20;

/// What changed, one sentence each.
pub(super) fn changes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut told = of_servers(&servers(before), &servers(after));
    told.extend(of_nodes(&nodes(before), &nodes(after)));
    if told.len() > MOST {
        let rest = told.split_off(MOST - 1).len();
        told.push(format!("{rest} more changes"));
    }
    told
}

/// A server's state and its instance.
type Server<'a> = (&'static str, &'a str);

fn servers(snapshot: &Snapshot) -> BTreeMap<&ServerName, Server<'_>> {
    let services = snapshot.cluster.body.services.iter();
    let servers = services.flat_map(|service| &service.servers);
    servers
        .map(|server| (&server.name, (server.state.as_str(), server.instance.as_str())))
        .collect()
}

fn of_servers(before: &BTreeMap<&ServerName, Server<'_>>, after: &BTreeMap<&ServerName, Server<'_>>) -> Vec<String> {
    let mut told = Vec::new();
    for (name, (state, instance)) in after {
        match before.get(name) {
            None => told.push(format!("server {name} came: it is {state}")),
            Some((_, other)) if other != instance => told.push(format!("server {name} was restarted: it is {state}")),
            Some((other, _)) if other != state => told.push(format!("server {name} is {state}; it was {other}")),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    told.extend(gone.map(|name| format!("server {name} is gone")));
    told
}

/// A node's state, the servers that hear it, and all that should.
type Node = (Option<NodeState>, usize, usize);

fn nodes(snapshot: &Snapshot) -> BTreeMap<&NodeId, Node> {
    let nodes = snapshot.nodes.body.nodes.iter();
    nodes
        .map(|node| {
            let heard = node.heard_by.len();
            (&node.id, (node.state, heard, heard + node.not_heard_by.len()))
        })
        .collect()
}

fn of_nodes(before: &BTreeMap<&NodeId, Node>, after: &BTreeMap<&NodeId, Node>) -> Vec<String> {
    let mut told = Vec::new();
    for (id, (state, heard, all)) in after {
        let Some((old_state, old_heard, old_all)) = before.get(id) else {
            told.push(format!("node {id} is new: it is {}", word(*state)));
            continue;
        };
        if old_state != state {
            told.push(format!("node {id} is {}; it was {}", word(*state), word(*old_state)));
        }
        let (was_deaf, is_deaf) = (old_all - old_heard, all - heard);
        let is_meant_to_be_heard = matches!(state, Some(NodeState::Active));
        if was_deaf != is_deaf && is_meant_to_be_heard {
            told.push(match is_deaf {
                0 => format!("all {all} servers hear node {id}"),
                _ => format!("{is_deaf} of {all} servers do not hear node {id}"),
            });
        }
    }
    let gone = before.keys().filter(|id| !after.contains_key(*id));
    told.extend(gone.map(|id| format!("node {id} is not known any more")));
    told
}

fn word(state: Option<NodeState>) -> &'static str {
    match state {
        Some(NodeState::Joining) => "joining",
        Some(NodeState::Active) => "active",
        Some(NodeState::Draining) => "draining",
        Some(NodeState::Gone) => "gone",
        None => "known to other servers only",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_come_go_restart_or_change_are_told() {
        let name = |name: &str| ServerName::new(name).expect("a name");
        let (a, b, c, d) = (name("a"), name("b"), name("c"), name("d"));
        let before = [(&a, ("serving", "1")), (&b, ("serving", "1")), (&c, ("serving", "1"))].into();
        let after = [
            (&b, ("draining", "1")),
            (&c, ("starting", "2")),
            (&d, ("starting", "1")),
        ]
        .into();
        assert_eq!(
            of_servers(&before, &after),
            [
                "server b is draining; it was serving",
                "server c was restarted: it is starting",
                "server d came: it is starting",
                "server a is gone",
            ]
        );
        assert_eq!(of_servers(&after, &after), [""; 0]);
    }

    #[test]
    fn nodes_that_come_change_or_are_heard_by_fewer_are_told() {
        let id = |id: &str| NodeId::new(id).expect("an id");
        let (one, two) = (id("redis-1"), id("redis-2"));
        let active = Some(NodeState::Active);
        let before = [(&one, (active, 3, 3))].into();
        let after = [(&one, (active, 1, 3)), (&two, (Some(NodeState::Joining), 0, 3))].into();
        assert_eq!(
            of_nodes(&before, &after),
            [
                "2 of 3 servers do not hear node redis-1",
                "node redis-2 is new: it is joining"
            ]
        );
        assert_eq!(
            of_nodes(&after, &[(&one, (Some(NodeState::Draining), 0, 3))].into()),
            [
                "node redis-1 is draining; it was active",
                "node redis-2 is not known any more"
            ]
        );
    }
}
