//! Choosing a node for a message among those that may be used. Pure.
//!
//! Sets of nodes are bit masks: bit `i` is the node with index `i`. At most [`MAX_NODES`] nodes; the last bit is for those that are no more.

use serde::{Deserialize, Serialize};

use crate::wire::stable_hash;

/// Most nodes that one server uses.
pub(crate) const MAX_NODES: usize = 63;

/// Stands in sets for all nodes that are no more.
pub(crate) const RETIRED: Mask = 1 << MAX_NODES;

/// A set of nodes.
pub(crate) type Mask = u64;

/// How the node for a message is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Rendezvous hash of the topic: one topic keeps its node, so its order.
    #[default]
    Ordered,
    /// Any.
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the shortest round trip.
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
                "{text:?} is no strategy: write ordered, random, round-robin or fastest"
            )),
        }
    }
}

/// The indexes in a mask, ascending.
pub(crate) fn indexes(mask: Mask) -> impl Iterator<Item = usize> {
    (0..MAX_NODES).filter(move |index| mask & (1 << index) != 0)
}

/// Rendezvous hashing: of the nodes in `usable`, the one on which `key` scores highest. Taking a node away moves only the
/// keys that were on it. `ids` are the nodes' ids by index, so that every server agrees.
pub(crate) fn rendezvous<'a>(key: &str, usable: Mask, id: impl Fn(usize) -> &'a str) -> Option<usize> {
    indexes(usable).max_by_key(|&index| score(key, id(index)))
}

/// How high a node scores for a key. The zero byte keeps a key's end apart from the id: no name has one.
pub(crate) fn score(key: &str, id: &str) -> u64 {
    stable_hash(0, [key.as_bytes(), &[0], id.as_bytes()])
}

/// Any of them, by a number that the caller draws.
pub(crate) fn nth(usable: Mask, number: u64) -> Option<usize> {
    let count = u64::from(usable.count_ones());
    if count == 0 {
        None
    } else {
        indexes(usable).nth((number % count) as usize)
    }
}

/// The smallest set of nodes of `usable` such that everyone in `concerned` hears at least one. Who hears none of them
/// cannot be reached and is left out. `None` if nobody can be reached; ties go to the lowest indexes.
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

/// Largest set that is searched for exactly; more nodes than that are taken greedily, which may be one too many.
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
    fn taking_a_node_away_moves_only_its_own_keys() {
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
    fn nobody_is_chosen_from_nothing() {
        assert_eq!(rendezvous("x", 0, |index| IDS[index]), None);
        assert_eq!(nth(0, 3), None);
        assert_eq!(cover(0, &[1]), None);
    }

    #[test]
    fn one_after_the_other_visits_all() {
        let visited: Vec<_> = (0..4).map(|n| nth(0b1011, n)).collect();
        assert_eq!(visited, [Some(0), Some(1), Some(3), Some(0)]);
    }

    #[test]
    fn the_cover_is_one_node_if_everyone_hears_it_else_as_few_as_reach_everyone() {
        assert_eq!(cover(0b111, &[0b110, 0b011]), Some(0b010));
        assert_eq!(cover(0b111, &[0b001, 0b010, 0b110]), Some(0b011));
        assert_eq!(
            cover(0b011, &[0b100, 0b010]),
            Some(0b010),
            "who hears none of them is left out"
        );
        assert_eq!(cover(0b111, &[]), Some(0b001));
        assert_eq!(
            cover(0b1_1111, &[1, 2, 4, 8]),
            Some(0b1111),
            "more than are searched for exactly"
        );
    }
}
