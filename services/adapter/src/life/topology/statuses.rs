//! The statuses of the nodes in use, as this server sees them.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::TopologyInUse;
use crate::nodes::{Node, NodeStatus};

impl TopologyInUse {
    /// The nodes' statuses, sorted by id. The receiver is notified when one changes, but not for a round trip alone.
    pub(crate) fn statuses(&self) -> watch::Receiver<Arc<Vec<NodeStatus>>> {
        self.statuses.subscribe()
    }

    /// Brings the statuses and the nodes' metrics up to date.
    pub(crate) fn refresh(&self, now: Instant) {
        // Else the metrics of a node that is given up meanwhile would come back.
        let one_at_a_time = self.plan.lock();
        let choices = self.choices.load_full();
        let status = |node: &Arc<Node>| {
            let status = node.status(now);
            let error = status.error.or_else(|| self.divided.lock().error(&node.id, now));
            NodeStatus { error, ..status }
        };
        let mut statuses: Vec<_> = choices.nodes.iter().map(status).collect();
        statuses.iter().for_each(|status| self.metrics.nodes.set(status));
        drop(one_at_a_time);
        statuses.sort_by(|a, b| a.id.cmp(&b.id));
        let statuses = Arc::new(statuses);
        self.statuses.send_if_modified(|view| {
            let news = view.len() != statuses.len() || view.iter().zip(&*statuses).any(|(old, new)| old.differs(new));
            view.clone_from(&statuses);
            news
        });
    }
}
