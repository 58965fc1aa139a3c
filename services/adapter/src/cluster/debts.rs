//! Debts: the published messages that other servers may have missed, and that this server therefore sends them again.
//!
//! A server with a gap (its beacons count them) is owed what went through the node concerned. A server is owed
//! everything in the window if it is new to this server, came back after silence, or heard none of the nodes that a
//! message took. State without I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::time::Instant;

use crate::wire::{Instance, NodeId, ServerName};

/// The nodes whose windows a server is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owed {
    /// The windows of these nodes.
    Nodes(BTreeSet<NodeId>),
    /// The windows of all nodes.
    Everything,
}

#[derive(Debug)]
struct Debt {
    instance: Instance,
    gaps: BTreeMap<NodeId, u64>,
    owed: Option<Owed>,
    /// Since when messages may have been missed that were not sent again yet.
    since: Option<Instant>,
    /// While the server is being served: since when it is owed what it gets.
    serving: Option<Instant>,
    /// When it was last known not to count: nothing older is promised to it.
    starting: Option<Instant>,
}

/// Everything that this server owes others.
#[derive(Debug, Default)]
pub(crate) struct Debts {
    servers: HashMap<ServerName, Debt>,
}

impl Debts {
    /// Takes the gaps from a server's beacon; `true` if there are new ones.
    pub(crate) fn on_beacon(
        &mut self,
        name: &ServerName,
        instance: Instance,
        gaps: &BTreeMap<NodeId, u64>,
        now: Instant,
    ) -> bool {
        match self.servers.get_mut(name) {
            Some(debt) if debt.instance == instance => {
                let interrupted: BTreeSet<NodeId> = gaps
                    .iter()
                    .filter(|(id, count)| debt.gaps.get(*id).is_none_or(|known| known < *count))
                    .map(|(id, _)| id.clone())
                    .collect();
                debt.gaps.clone_from(gaps);
                let news = !interrupted.is_empty();
                if news {
                    debt.owe(Owed::Nodes(interrupted), now);
                }
                news
            }
            _ => {
                let debt = Debt {
                    instance,
                    gaps: gaps.clone(),
                    owed: Some(Owed::Everything),
                    since: Some(now),
                    serving: None,
                    starting: None,
                };
                self.servers.insert(name.clone(), debt);
                false
            }
        }
    }

    /// This process does not count yet: nothing resolved on it so far, so nothing older than this moment is promised to it.
    pub(crate) fn starting(&mut self, name: &ServerName, instance: Instance, now: Instant) {
        if let Some(debt) = self.servers.get_mut(name).filter(|debt| debt.instance == instance) {
            debt.starting = Some(now);
        }
    }

    /// Notes that a server could not receive a published message; `false` if the server is unknown.
    pub(crate) fn missed(&mut self, name: &ServerName, now: Instant) -> bool {
        let debt = self.servers.get_mut(name);
        debt.map(|debt| debt.owe(Owed::Everything, now)).is_some()
    }

    /// Forgets all servers except the known ones.
    pub(crate) fn retain(&mut self, known: impl Fn(&ServerName) -> bool) {
        self.servers.retain(|name, _| known(name));
    }

    /// Forgets a process that said goodbye.
    pub(crate) fn forget(&mut self, name: &ServerName, instance: Instance) {
        if self.servers.get(name).is_some_and(|debt| debt.instance == instance) {
            self.servers.remove(name);
        }
    }

    /// Since when the oldest debt exists, if there is any.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let debts = self.servers.values();
        debts.flat_map(|debt| [debt.owed_since(), debt.serving]).flatten().min()
    }

    /// Begins to serve a server: returns what it is owed and since when; `None` if it is owed nothing or is being
    /// served already.
    pub(crate) fn begin(&mut self, name: &ServerName, instance: Instance) -> Option<(Owed, Instant)> {
        let debt = self.servers.get_mut(name).filter(|debt| debt.instance == instance)?;
        if debt.serving.is_some() {
            return None;
        }
        let (since, owed) = (debt.owed_since()?, debt.owed.take()?);
        debt.since = None;
        debt.serving = Some(since);
        Some((owed, since))
    }

    /// Ends serving a server. It is owed again what could not be sent.
    pub(crate) fn end(&mut self, name: &ServerName, instance: Instance, unserved: Option<(Owed, Instant)>) {
        if let Some(debt) = self.servers.get_mut(name).filter(|debt| debt.instance == instance) {
            debt.serving = None;
            if let Some((owed, since)) = unserved {
                debt.owe(owed, since);
            }
        }
    }
}

impl Debt {
    fn owed_since(&self) -> Option<Instant> {
        self.since
            .map(|since| self.starting.map_or(since, |starting| since.max(starting)))
    }

    fn owe(&mut self, more: Owed, since: Instant) {
        self.since = Some(self.since.map_or(since, |before| before.min(since)));
        self.owed = Some(match (self.owed.take(), more) {
            (None, more) => more,
            (Some(Owed::Nodes(mut nodes)), Owed::Nodes(more)) => {
                nodes.extend(more);
                Owed::Nodes(nodes)
            }
            _ => Owed::Everything,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIFE: Instance = Instance(5);

    fn name() -> ServerName {
        ServerName::new("a").expect("valid")
    }

    fn gaps(of: &[(&str, u64)]) -> BTreeMap<NodeId, u64> {
        let node = |(id, count): &(&str, u64)| (NodeId::new(id).expect("valid"), *count);
        of.iter().map(node).collect()
    }

    fn nodes(ids: &[&str]) -> Owed {
        Owed::Nodes(ids.iter().map(|id| NodeId::new(id).expect("valid")).collect())
    }

    fn owed(debts: &mut Debts, name: &ServerName, instance: Instance) -> Option<Owed> {
        debts.begin(name, instance).map(|(owed, _)| owed)
    }

    fn known() -> Debts {
        let mut debts = Debts::default();
        debts.on_beacon(&name(), LIFE, &gaps(&[("n0", 1)]), Instant::now());
        assert_eq!(
            owed(&mut debts, &name(), LIFE),
            Some(Owed::Everything),
            "the server is new"
        );
        debts.end(&name(), LIFE, None);
        debts
    }

    #[test]
    fn a_gap_is_owed_once() {
        let mut debts = known();
        assert_eq!(debts.begin(&name(), LIFE), None);
        let mut hear = |counts: &[(&str, u64)]| debts.on_beacon(&name(), LIFE, &gaps(counts), Instant::now());
        assert!(hear(&[("n0", 2), ("n1", 1)]));
        assert!(!hear(&[("n0", 2), ("n1", 1)]), "these gaps are known");
        assert_eq!(owed(&mut debts, &name(), LIFE), Some(nodes(&["n0", "n1"])));
        debts.end(&name(), LIFE, None);
        assert_eq!(debts.begin(&name(), LIFE), None);
        assert_eq!(debts.oldest(), None);
    }

    #[test]
    fn gaps_during_serving_and_unserved_debts_are_owed_again() {
        let mut debts = known();
        debts.on_beacon(&name(), LIFE, &gaps(&[("n0", 2)]), Instant::now());
        let unserved = debts.begin(&name(), LIFE);
        debts.on_beacon(&name(), LIFE, &gaps(&[("n0", 2), ("n1", 1)]), Instant::now());
        assert_eq!(debts.begin(&name(), LIFE), None, "one at a time");
        assert_eq!(debts.oldest(), unserved.as_ref().map(|(_, since)| *since));
        debts.end(&name(), LIFE, unserved);
        assert_eq!(owed(&mut debts, &name(), LIFE), Some(nodes(&["n0", "n1"])));
    }

    #[test]
    fn a_server_that_takes_long_to_start_is_owed_nothing_from_before_it_counts() {
        let (mut debts, now) = (Debts::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        debts.on_beacon(&name(), LIFE, &gaps(&[]), now);
        debts.starting(&name(), LIFE, now);
        let unserved = debts.begin(&name(), LIFE).expect("it is new");
        debts.starting(&name(), LIFE, at(20));
        debts.end(&name(), LIFE, Some(unserved));
        assert_eq!(debts.oldest(), Some(at(20)));
        debts.starting(&name(), Instance(9), at(30));
        assert_eq!(debts.begin(&name(), LIFE), Some((Owed::Everything, at(20))));
    }

    #[test]
    fn a_server_that_heard_none_of_the_used_nodes_is_owed_everything_and_so_is_a_new_instance() {
        let mut debts = known();
        debts.on_beacon(&name(), LIFE, &gaps(&[("n0", 2)]), Instant::now());
        assert!(debts.missed(&name(), Instant::now()));
        assert_eq!(owed(&mut debts, &name(), LIFE), Some(Owed::Everything));
        debts.on_beacon(&name(), Instance(9), &gaps(&[]), Instant::now());
        debts.end(&name(), LIFE, None);
        assert_eq!(debts.begin(&name(), LIFE), None, "that instance is gone");
        assert_eq!(owed(&mut debts, &name(), Instance(9)), Some(Owed::Everything));
        debts.forget(&name(), Instance(9));
        assert!(!debts.missed(&name(), Instant::now()));
    }
}
