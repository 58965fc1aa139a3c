//! Which ws-node a new client should use. Pure: whoever asks with the same client, and sees the same ws-nodes, gets the same answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use sha2::{Digest, Sha256};
use wsmesh_adapter::{Gathered, ServerInfo, ServerName, StatsPart};

use super::reports::EdgeReports;
use super::servers::{ServerState, load, state};

/// A ws-node as far as new clients are concerned.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) server: ServerName,
    /// Where clients reach it by itself.
    pub(crate) url: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// How many it had when it was sampled.
    pub(crate) clients: u64,
    /// How many were sent there since then; without them, all clients of one second would be sent to one ws-node.
    pub(crate) assigned: AtomicU64,
    /// Whether it accepts clients and is connected to the others.
    pub(crate) is_serving: bool,
}

/// How a ws-node is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// By rendezvous hashing: a client gets the same one as long as it is there, and only its clients move when one comes or goes.
    Hash(String),
    /// The one with the fewest clients; the first by name of those alike.
    Load,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoEdge {
    /// No ws-node has these labels; those that exist.
    Unlabelled(Vec<String>),
    /// No ws-node says where clients reach it.
    Unreachable,
    /// There are some, and all are draining, starting or isolated.
    AllBusy,
}

/// The ws-nodes among the servers, as their last reports and beacons say. One that has never answered has no labels and no address.
/// `has_nodes`: whether servers should hear nodes.
pub(crate) fn edges(
    roster: &[ServerInfo],
    gathered: &Gathered<StatsPart>,
    reports: &EdgeReports,
    has_nodes: bool,
) -> Vec<Edge> {
    let parts: BTreeMap<_, _> = gathered.servers.iter().map(|(name, part)| (name, part)).collect();
    let edge = |server: &ServerInfo| {
        let report = reports.of(&server.name)?;
        let part = parts.get(&server.name).copied();
        Some(Edge {
            server: server.name.clone(),
            url: report.public_url.clone(),
            labels: report.labels.clone(),
            clients: load(server, part).0,
            assigned: AtomicU64::default(),
            is_serving: state(server, part, Some(report), roster.len(), has_nodes) == ServerState::Serving,
        })
    };
    roster.iter().filter_map(edge).collect()
}

impl Edge {
    /// A client is sent there.
    pub(crate) fn count(&self) {
        self.assigned.fetch_add(1, Relaxed);
    }

    fn load(&self) -> u64 {
        self.clients + self.assigned.load(Relaxed)
    }
}

/// The ws-node for a new client, among those that have all of these labels. With its address.
pub(crate) fn assign<'a>(
    edges: &'a [Edge],
    choice: &Choice,
    labels: &[(String, String)],
) -> Result<(&'a Edge, &'a str), NoEdge> {
    let is_labelled = |edge: &&Edge| labels.iter().all(|(name, value)| edge.labels.get(name) == Some(value));
    let labelled: Vec<_> = edges.iter().filter(is_labelled).collect();
    if labelled.is_empty() && !labels.is_empty() {
        return Err(NoEdge::Unlabelled(existing(edges)));
    }
    let reachable = labelled
        .into_iter()
        .filter_map(|edge| Some((edge, edge.url.as_deref()?)));
    let reachable: Vec<_> = reachable.collect();
    if reachable.is_empty() {
        return Err(NoEdge::Unreachable);
    }
    let serving = reachable.into_iter().filter(|(edge, _)| edge.is_serving);
    let chosen = match choice {
        Choice::Hash(client) => serving.max_by_key(|(edge, _)| weight(client, &edge.server)),
        Choice::Load => serving.min_by_key(|(edge, _)| (edge.load(), edge.server.clone())),
    };
    chosen.ok_or(NoEdge::AllBusy)
}

fn weight(client: &str, server: &ServerName) -> impl Ord + use<> {
    let mut digest = Sha256::new();
    digest.update(client);
    // No name has a null.
    digest.update("\0");
    digest.update(server.as_str());
    <[u8; 32]>::from(digest.finalize())
}

/// All labels that ws-nodes have, as they are asked for.
fn existing(edges: &[Edge]) -> Vec<String> {
    let labels = edges.iter().flat_map(|edge| &edge.labels);
    let labels: BTreeSet<_> = labels.map(|(name, value)| format!("{name}:{value}")).collect();
    labels.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(name: &str, zone: &str, clients: u64) -> Edge {
        Edge {
            server: ServerName::new(name).expect("a name"),
            url: Some(format!("wss://{name}.example.org")),
            labels: [("zone".to_owned(), zone.to_owned())].into(),
            clients,
            assigned: AtomicU64::default(),
            is_serving: true,
        }
    }

    fn five() -> Vec<Edge> {
        (1..=5)
            .map(|n| edge(&format!("ws-node-{n}"), if n < 3 { "a" } else { "b" }, 10 - n))
            .collect()
    }

    fn hash(client: usize) -> Choice {
        Choice::Hash(format!("client-{client}"))
    }

    fn refusal(edges: &[Edge], choice: &Choice, labels: &[(String, String)]) -> NoEdge {
        assign(edges, choice, labels)
            .map(|(edge, _)| edge.server.clone())
            .expect_err("nothing to assign")
    }

    fn server_for(edges: &[Edge], choice: &Choice) -> String {
        assign(edges, choice, &[]).expect("assigned").0.server.to_string()
    }

    #[test]
    fn a_client_gets_the_same_ws_node_and_only_clients_of_one_that_goes_move() {
        let all = five();
        let before: Vec<_> = (0..1000).map(|client| server_for(&all, &hash(client))).collect();
        for server in &all {
            let share = before
                .iter()
                .filter(|chosen| **chosen == server.server.as_str())
                .count();
            assert!((120..280).contains(&share), "{} has {share} of 1000", server.server);
        }
        let mut fewer = five();
        fewer.remove(2);
        for (client, before) in before.iter().enumerate() {
            let after = server_for(&fewer, &hash(client));
            assert!(
                after == *before || before == "ws-node-3",
                "client-{client}: {before} -> {after}"
            );
        }
    }

    #[test]
    fn the_least_busy_one_is_chosen_by_load_and_the_first_by_name_of_those_alike() {
        let mut all = five();
        assert_eq!(server_for(&all, &Choice::Load), "ws-node-5");
        all.iter_mut().for_each(|edge| edge.clients = 7);
        all.reverse();
        assert_eq!(server_for(&all, &Choice::Load), "ws-node-1");
    }

    #[test]
    fn clients_of_one_second_are_spread_although_the_sample_does_not_show_them_yet() {
        let all: Vec<_> = (1..=3).map(|n| edge(&format!("ws-node-{n}"), "a", 100 * n)).collect();
        for _ in 0..300 {
            assign(&all, &Choice::Load, &[]).expect("assigned").0.count();
        }
        let loads: Vec<_> = all.iter().map(Edge::load).collect();
        assert_eq!(loads, [300, 300, 300]);
    }

    #[test]
    fn one_that_drains_or_is_isolated_or_has_no_address_is_not_chosen() {
        let mut all = five();
        all[4].is_serving = false;
        all[3].url = None;
        assert_eq!(server_for(&all, &Choice::Load), "ws-node-3");
        for client in 0..100 {
            let chosen = server_for(&all, &hash(client));
            assert!(!["ws-node-4", "ws-node-5"].contains(&chosen.as_str()));
        }
        all.iter_mut().for_each(|edge| edge.is_serving = false);
        assert_eq!(refusal(&all, &Choice::Load, &[]), NoEdge::AllBusy);
        all.iter_mut().for_each(|edge| edge.url = None);
        assert_eq!(refusal(&all, &Choice::Load, &[]), NoEdge::Unreachable);
        assert_eq!(refusal(&[], &Choice::Load, &[]), NoEdge::Unreachable);
    }

    #[test]
    fn labels_narrow_the_choice_and_those_that_no_ws_node_has_are_answered_with_those_that_exist() {
        let label = |value: &str| [("zone".to_owned(), value.to_owned())];
        let all = five();
        let (chosen, url) = assign(&all, &Choice::Load, &label("a")).expect("assigned");
        assert_eq!(
            (chosen.server.as_str(), url),
            ("ws-node-2", "wss://ws-node-2.example.org")
        );
        let existing = vec!["zone:a".to_owned(), "zone:b".to_owned()];
        assert_eq!(refusal(&all, &hash(1), &label("c")), NoEdge::Unlabelled(existing));
        let both = [label("a"), label("b")].concat();
        assert!(matches!(refusal(&all, &hash(1), &both), NoEdge::Unlabelled(_)));
    }
}
