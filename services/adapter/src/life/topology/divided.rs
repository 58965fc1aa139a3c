//! Nodes that are another Redis for some servers than for this one, because a name leads to two.
//!
//! They are not used together from the first moment on (`flow/state/choices`). People are told only if it lasts: when a Redis
//! restarts, each server learns its new run id at another moment. State without I/O, but for the log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::{NodeId, ServerName};

/// A difference that lasts for this long is none of a restart.
const LASTING: Duration = Duration::from_secs(5);
/// Most servers that are named.
const MOST_NAMED: usize = 5;

/// Since when which servers reach another Redis, by node.
#[derive(Debug, Default)]
pub(super) struct Divided {
    nodes: BTreeMap<NodeId, BTreeMap<ServerName, Instant>>,
    /// Nodes that were logged.
    told: BTreeSet<NodeId>,
}

impl Divided {
    /// Takes what differs now. Logs each node once, until it is the same Redis for all again.
    pub(super) fn judge(&mut self, elsewhere: &[(NodeId, ServerName)], now: Instant) {
        for node in self.news(elsewhere, now) {
            if let Some(error) = self.error(&node, now) {
                tracing::warn!(%node, "{error}");
            }
        }
    }

    /// The nodes that differ for long enough now, and did not before.
    fn news(&mut self, elsewhere: &[(NodeId, ServerName)], now: Instant) -> Vec<NodeId> {
        if elsewhere.is_empty() && self.nodes.is_empty() {
            return Vec::new();
        }
        let mut before = std::mem::take(&mut self.nodes);
        for (node, server) in elsewhere {
            let since = before.get_mut(node).and_then(|servers| servers.remove(server));
            let servers = self.nodes.entry(node.clone()).or_default();
            servers.insert(server.clone(), since.unwrap_or(now));
        }
        self.told.retain(|node| self.nodes.contains_key(node));
        let news = self
            .nodes
            .keys()
            .filter(|node| self.lasting(node, now).next().is_some());
        let news: Vec<_> = news.filter(|node| !self.told.contains(*node)).cloned().collect();
        self.told.extend(news.iter().cloned());
        news
    }

    /// Why a node is not used together with some servers, although it is heard.
    pub(super) fn error(&self, node: &NodeId, now: Instant) -> Option<String> {
        let others: Vec<_> = self
            .lasting(node, now)
            .map(ServerName::as_str)
            .take(MOST_NAMED)
            .collect();
        (!others.is_empty()).then(|| {
            format!(
                "{node} is another Redis for this server than for {}, by their run ids: they do not use it together; let its address lead \
                 to one Redis",
                others.join(", ")
            )
        })
    }

    fn lasting(&self, node: &NodeId, now: Instant) -> impl Iterator<Item = &ServerName> {
        let servers = self.nodes.get(node).into_iter().flatten();
        let lasting = move |since: &Instant| now.saturating_duration_since(*since) >= LASTING;
        servers
            .filter(move |(_, since)| lasting(since))
            .map(|(server, _)| server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str) -> NodeId {
        NodeId::new(id).expect("valid")
    }

    fn pairs(of: &[(&str, &str)]) -> Vec<(NodeId, ServerName)> {
        let pair = |(id, server): &(&str, &str)| (node(id), ServerName::new(*server).expect("valid"));
        of.iter().map(pair).collect()
    }

    #[test]
    fn a_restart_of_a_redis_is_not_told_although_every_server_learns_it_at_another_moment() {
        let (mut divided, now) = (Divided::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        for second in 0..30 {
            // Another server differs each three seconds.
            let server = format!("server-{}", second / 3);
            assert!(divided.news(&pairs(&[("a", &server)]), at(second)).is_empty());
            assert_eq!(divided.error(&node("a"), at(second)), None);
        }
        assert!(divided.news(&[], at(30)).is_empty());
        assert!(divided.nodes.is_empty());
    }

    #[test]
    fn a_node_that_stays_another_redis_for_some_servers_is_told_once_until_it_is_the_same_again() {
        let (mut divided, now) = (Divided::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let both = pairs(&[("a", "one"), ("a", "two"), ("b", "one")]);
        assert!(divided.news(&both, now).is_empty());
        assert!(divided.news(&both, at(4)).is_empty());
        assert_eq!(divided.news(&both, at(5)), [node("a"), node("b")]);
        assert!(divided.news(&both, at(6)).is_empty(), "they are known");
        let error = divided.error(&node("a"), at(6)).expect("an error");
        assert!(error.contains("than for one, two,") && !error.contains("  "), "{error}");
        let more = pairs(&[("a", "one"), ("a", "two"), ("a", "three")]);
        assert!(divided.news(&more, at(7)).is_empty());
        assert!(divided.news(&more, at(20)).is_empty(), "one line per node");
        assert!(divided.error(&node("a"), at(20)).expect("an error").contains("three"));
        divided.news(&[], at(21));
        assert!(divided.news(&both, at(22)).is_empty());
        assert_eq!(divided.news(&both, at(27)), [node("a"), node("b")], "again");
    }
}
