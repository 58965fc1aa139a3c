//! Chooses a node for a message among the usable ones. Pure.
//!
//! Sets of nodes are bit masks: bit `i` is the node with index `i`. There are at most [`MAX_NODES`] nodes; the last bit
//! stands for removed nodes.

use serde::{Deserialize, Serialize};

use crate::wire::stable_hash;

/// The most nodes that one server uses.
pub(crate) const MAX_NODES: usize = 63;

/// Stands in sets for all removed nodes.
pub(crate) const RETIRED: Mask = 1 << MAX_NODES;

/// A set of nodes.
pub(crate) type Mask = u64;

/// How the node for a message is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// By rendezvous hash of the topic: a topic keeps its node, and so its order.
    #[default]
    Ordered,
    /// A random node.
    Random,
    /// The nodes in turn.
    RoundRobin,
    /// The node with the shortest round trip.
    Fastest,
}

impl std::str::FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ordered" => Ok(Self::Ordered),
            "random" => Ok(Self::Random),
            "round-robin" => Ok(Self::RoundRobin),
            "fastest" => Ok(Self::Fastest),
            _ => Err(format!(
                "{text:?} is not a strategy: write ordered, random, round-robin or fastest"
            )),
        }
    }
}

/// The indexes in a mask, ascending.
pub(crate) fn indexes(mask: Mask) -> impl Iterator<Item = usize> {
    (0..MAX_NODES).filter(move |index| mask & (1 << index) != 0)
}

/// Rendezvous hashing: the usable node with the highest score for `key`. Removing a node moves only the keys that were
/// on it. `id` gives a node's id by index, so that every server agrees.
pub(crate) fn rendezvous<'a>(key: &str, usable: Mask, id: impl Fn(usize) -> &'a str) -> Option<usize> {
    indexes(usable).max_by_key(|&index| score(key, id(index)))
}

/// A node's score for a key. The zero byte separates the two: no name contains one.
pub(crate) fn score(key: &str, id: &str) -> u64 {
    stable_hash(0, [key.as_bytes(), &[0], id.as_bytes()])
}

/// The most keys that are tried to find one for a node. One of as many as there are nodes fits.
const MOST_KEYS: u32 = 10_000;

/// A key that rendezvous hashing gives to the node `wanted` among `ids`, and so among any of them that are usable.
pub(crate) fn key_for(wanted: &str, ids: &[&str]) -> Option<String> {
    let keys = (0..MOST_KEYS).map(|number| number.to_string());
    let mut fitting = keys.filter(|key| ids.iter().max_by_key(|id| score(key, id)) == Some(&wanted));
    fitting.next()
}

/// One of the usable nodes, selected by any number.
pub(crate) fn nth(usable: Mask, number: u64) -> Option<usize> {
    let count = u64::from(usable.count_ones());
    if count == 0 {
        None
    } else {
        indexes(usable).nth((number % count) as usize)
    }
}

/// The smallest set of usable nodes of which every server in `concerned` hears at least one. Servers that hear no
/// usable node cannot be reached and are ignored. `None` if no node is usable. Ties go to the lowest indexes.
pub(crate) fn cover(usable: Mask, concerned: &[Mask]) -> Option<Mask> {
    let reachable: Vec<Mask> = concerned
        .iter()
        .map(|heard| heard & usable)
        .filter(|&heard| heard != 0)
        .collect();
    if usable == 0 {
        return None;
    }
    let nodes: Vec<usize> = indexes(usable).collect();
    let exact = (1..=MAX_EXACT).find_map(|size| combination(&nodes, size, 0, &reachable));
    exact.or_else(|| Some(greedy(&nodes, reachable)))
}

/// The largest set that is searched for exactly. Larger sets are built greedily, which may give one node too many.
const MAX_EXACT: usize = 3;

fn greedy(nodes: &[usize], mut left: Vec<Mask>) -> Mask {
    let mut chosen = 0;
    while !left.is_empty() {
        let reached = |node: usize| left.iter().filter(|&heard| heard & 1 << node != 0).count();
        let Some(&best) = nodes.iter().max_by_key(|&&node| reached(node)) else {
            break;
        };
        chosen |= 1 << best;
        left.retain(|heard| heard & 1 << best == 0);
    }
    chosen
}

fn combination(nodes: &[usize], size: usize, chosen: Mask, concerned: &[Mask]) -> Option<Mask> {
    if size == 0 {
        return concerned.iter().all(|heard| heard & chosen != 0).then_some(chosen);
    }
    nodes
        .iter()
        .enumerate()
        .find_map(|(position, &node)| combination(&nodes[position + 1..], size - 1, chosen | 1 << node, concerned))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 4] = ["redis-0", "redis-1", "redis-2", "redis-3"];

    fn chosen(key: &str, usable: Mask) -> usize {
        rendezvous(key, usable, |index| IDS[index]).expect("one is usable")
    }

    #[test]
    fn removing_a_node_moves_only_its_own_keys() {
        let keys: Vec<String> = (0..1000).map(|n| format!("room:{n}")).collect();
        for key in &keys {
            let before = chosen(key, 0b1111);
            let after = chosen(key, 0b1101);
            assert!(before == 1 || before == after, "{key} moved from {before} to {after}");
        }
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0; 4];
        for n in 0..4000 {
            counts[chosen(&format!("wsmesh:room:chat:{n}"), 0b1111)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn scores_are_the_same_in_every_version() {
        assert_eq!(score("room:1", "redis-0"), 0x26dd5aca20275c59);
    }

    #[test]
    fn a_key_for_a_node_selects_it_whatever_other_nodes_are_usable() {
        for (index, id) in IDS.iter().enumerate() {
            let key = key_for(id, &IDS).expect("there is one");
            for usable in (1..16).filter(|usable| usable & (1 << index) != 0) {
                assert_eq!(chosen(&key, usable), index, "{key} among {usable:b}");
            }
        }
        assert_eq!(key_for("redis-9", &IDS), None, "not one of them");
    }

    #[test]
    fn no_node_is_chosen_from_an_empty_set() {
        assert_eq!(rendezvous("x", 0, |index| IDS[index]), None);
        assert_eq!(nth(0, 3), None);
        assert_eq!(cover(0, &[1]), None);
    }

    #[test]
    fn consecutive_numbers_select_the_nodes_in_turn() {
        let visited: Vec<_> = (0..4).map(|n| nth(0b1011, n)).collect();
        assert_eq!(visited, [Some(0), Some(1), Some(3), Some(0)]);
    }

    #[test]
    fn the_cover_is_one_node_if_all_servers_hear_it_and_else_the_fewest_that_reach_all() {
        assert_eq!(cover(0b111, &[0b110, 0b011]), Some(0b010));
        assert_eq!(cover(0b111, &[0b001, 0b010, 0b110]), Some(0b011));
        assert_eq!(
            cover(0b011, &[0b100, 0b010]),
            Some(0b010),
            "a server that hears none of them is ignored"
        );
        assert_eq!(cover(0b111, &[]), Some(0b001));
        assert_eq!(
            cover(0b1_1111, &[1, 2, 4, 8]),
            Some(0b1111),
            "larger than the exact search"
        );
    }
}
