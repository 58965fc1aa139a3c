//! Finds nodes while this server hears none: at its start, and again if all nodes that it knows are silent, because they may
//! have been replaced by others meanwhile. Nodes that are found are used unless other servers know better.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::topology::TopologyInUse;
use crate::options::{FirstNodes, FoundNodes};

/// Time between two looks, with jitter: all servers of a cluster may be without nodes at once.
const EVERY: Duration = Duration::from_secs(2);
/// Longest wait for one look. It should end earlier by itself.
const LONGEST: Duration = Duration::from_secs(15);
/// Time between two log lines about the same lasting state.
const REMIND: Duration = Duration::from_secs(30);

/// Looks for nodes.
pub(crate) struct Finding {
    first_nodes: Arc<dyn FirstNodes>,
    topology: Arc<TopologyInUse>,
    deaf: watch::Receiver<bool>,
    /// When it was last logged that there are none.
    told: Option<Instant>,
}

impl Finding {
    pub(crate) fn new(
        first_nodes: Arc<dyn FirstNodes>,
        topology: Arc<TopologyInUse>,
        deaf: watch::Receiver<bool>,
    ) -> Self {
        Self {
            first_nodes,
            topology,
            deaf,
            told: None,
        }
    }

    /// Looks whenever no node is heard. Never ends by itself while the adapter runs.
    pub(crate) async fn run(mut self) {
        // Fails only when the adapter ends.
        while self.deaf.wait_for(|deaf| *deaf).await.is_ok() {
            let found = timeout(LONGEST, self.first_nodes.find()).await;
            self.take(found.unwrap_or_else(|_| Err(format!("no answer within {} s", LONGEST.as_secs()))));
            sleep(EVERY.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    fn take(&mut self, found: FoundNodes) {
        let why = match found {
            Ok(nodes) if !nodes.is_empty() => {
                self.topology.suggest(&nodes);
                return;
            }
            Ok(_) => "there is none".to_owned(),
            Err(why) => why,
        };
        let service = self.first_nodes.login();
        let knows_others = self.topology.has_active();
        let is_due = self.told.is_none_or(|told| told.elapsed() >= REMIND);
        if !is_due {
            tracing::debug!(%service, why, "no Redis node is found");
            return;
        }
        self.told = Some(Instant::now());
        match knows_others {
            true => tracing::warn!(%service, why, "no Redis node is heard, and no other one is found; looking again"),
            false => tracing::warn!(%service, why, "waiting for a first Redis node: none is found yet; looking again"),
        }
    }
}
