//! Run ids: what a Redis calls one run of itself. Two links with one run id lead to one Redis, whatever its names are.
//!
//! They come from Redis and from beacons, so both may be broken or hostile: what cannot be a run id is unknown.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names::NodeId;

/// Shortest and longest run id, in bytes. Redis and its relatives have 40 hexadecimal digits.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=64;
/// Most nodes in a beacon: more than any cluster has.
const MOST: usize = 512;

/// What a Redis calls one run of itself: another one after each restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub(crate) struct RunId(Arc<str>);

impl RunId {
    /// `None` for a text that cannot tell one Redis from others: too short or long, with other than letters and digits, or one
    /// character again and again, as programs answer that only imitate Redis.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let is_plain = LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let tells = is_plain && text.bytes().any(|byte| byte != first);
        tells.then(|| Self(text.into()))
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.0.as_ref().to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The run ids of nodes, as far as they are known, by node. Entries that cannot be right are left out when it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Value")]
pub(crate) struct Runs(BTreeMap<NodeId, RunId>);

impl Runs {
    /// A node's run id.
    pub(crate) fn of(&self, node: &NodeId) -> Option<&RunId> {
        self.0.get(node)
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a link with this run id may lead to the node's Redis: nobody knows better.
    pub(crate) fn may_be(&self, node: &NodeId, run: Option<&RunId>) -> bool {
        run.is_none_or(|run| self.of(node).is_none_or(|other| other == run))
    }
}

impl FromIterator<(NodeId, RunId)> for Runs {
    fn from_iter<I: IntoIterator<Item = (NodeId, RunId)>>(runs: I) -> Self {
        Self(runs.into_iter().collect())
    }
}

impl From<Value> for Runs {
    fn from(value: Value) -> Self {
        let entries = value.as_object().into_iter().flatten().take(MOST);
        let valid = entries.filter_map(|(node, run)| Some((NodeId::new(node).ok()?, RunId::new(run.as_str()?)?)));
        valid.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RUN: &str = "0f7a6b5c4d3e2f100f7a6b5c4d3e2f100f7a6b5c";

    fn node(id: &str) -> NodeId {
        NodeId::new(id).expect("valid")
    }

    #[test]
    fn a_text_that_cannot_tell_one_redis_from_another_is_no_run_id() {
        assert!(RunId::new(RUN).is_some() && RunId::new("embedded7").is_some());
        let (long, zeros) = ("ab".repeat(33), "0".repeat(40));
        for text in [
            "",
            "0f7a",
            "0f7a6b5c\n",
            "0f7a 6b5c 4d3e",
            "0f7a6b5c\x1b[2J",
            &long,
            &zeros,
        ] {
            assert_eq!(RunId::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_right_in_a_beacon_is_unknown_and_the_rest_is_read() {
        let read = |value| serde_json::from_value::<Runs>(value).expect("never an error");
        let runs = read(json!({"a": RUN, "b": 7, "c": "short", "": RUN, "d": {"e": RUN}, "f": "x".repeat(100_000)}));
        assert_eq!(
            runs,
            [(node("a"), RunId::new(RUN).expect("valid"))].into_iter().collect()
        );
        for broken in [json!(null), json!(7), json!([RUN]), json!("a"), json!({})] {
            assert!(read(broken).is_empty());
        }
        let many: serde_json::Map<_, _> = (0..5_000).map(|n| (n.to_string(), json!(RUN))).collect();
        assert_eq!(read(many.into()).0.len(), MOST);
    }

    #[test]
    fn a_link_leads_to_the_same_redis_unless_both_sides_know_better() {
        let (one, other) = (RunId::new(RUN).expect("valid"), RunId::new("embedded7").expect("valid"));
        let runs: Runs = [(node("a"), one.clone())].into_iter().collect();
        assert!(runs.may_be(&node("a"), Some(&one)) && !runs.may_be(&node("a"), Some(&other)));
        assert!(runs.may_be(&node("a"), None) && runs.may_be(&node("b"), Some(&other)));
    }
}
