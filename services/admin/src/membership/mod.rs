//! Keeps the Redis nodes as their StatefulSet has them: a pod that is ready becomes a node, a node whose pod goes is drained.
//!
//! Level-triggered: what is found is compared with the topology again and again, so nothing is lost when an admin ends in the middle of
//! something. Only the admin that leads changes anything, through the same jobs as the API; the others show what the leader tells them.
//! The rules of what may be done are in `plan`. It is only started where a StatefulSet is followed.

mod attempts;
mod plan;

mod shared;

mod change;
mod ends;
mod news;
mod reconciler;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wsmesh_adapter::Adapter;

use crate::discovery::Discovery;
use crate::gather::MembershipView;
use crate::jobs::Jobs;
use crate::kubernetes::{Events, Leadership, PodNames};
use reconciler::Reconciler;
use shared::Shared;

/// The membership of Redis nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    shared: Arc<Shared>,
}

impl Membership {
    /// Nothing happens before [`Membership::run`]. `names` are those of the pods.
    pub(crate) fn new(adapter: Adapter, jobs: Jobs, leadership: Leadership, events: Events, names: PodNames) -> Self {
        let shared = Shared::new(adapter, jobs, leadership, events, names);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Follows what is found until `ended`. When this returns, nothing acts as the leader any more.
    pub(crate) async fn run(self, discovery: impl Discovery, ended: CancellationToken) {
        let working = async {
            tokio::join!(
                Reconciler::new(&self.shared).follow(discovery),
                ends::tell(&self.shared),
                news::tell(&self.shared),
                news::hear(&self.shared),
            )
        };
        ended.run_until_cancelled(working).await;
    }

    /// What is not as it should be.
    pub(crate) fn view(&self) -> MembershipView {
        self.shared.view()
    }
}

#[cfg(test)]
mod tests;
