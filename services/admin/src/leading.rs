//! What this admin does while it leads: it follows the StatefulSet of the Redis pods, scales it, and tells what it costs to end a pod.
//!
//! All of that stops as soon as this admin is told to stop, and then the Lease is given back at once: another admin leads while this
//! one still answers its last requests.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::Adapter;

use crate::discovery;
use crate::jobs::Jobs;
use crate::kubernetes::{DeletionCosts, HeldLease, Parts};
use crate::membership::Membership;
use crate::scaler::Scaler;
use crate::statistics::{Outside, Statistics};

/// What acts only while this admin leads.
#[derive(Debug)]
pub(crate) struct Leading {
    pub(crate) scaler: Option<Scaler>,
    membership: Option<Membership>,
    tasks: Vec<JoinHandle<()>>,
    lease: Option<HeldLease>,
    stop: CancellationToken,
}

impl Leading {
    /// Follows the StatefulSet of the Redis pods, if there is one, until `stop`.
    pub(crate) fn start(adapter: &Adapter, jobs: &Jobs, kubernetes: &mut Parts, stop: &CancellationToken) -> Self {
        let mut leading = Self {
            scaler: None,
            membership: None,
            tasks: Vec::new(),
            lease: kubernetes.lease.take(),
            stop: stop.clone(),
        };
        let Some((set, pods)) = kubernetes.stateful_set.as_ref().zip(kubernetes.pods.as_ref()) else {
            return leading;
        };
        let (leadership, events) = (kubernetes.leadership.clone(), kubernetes.events.clone());
        let membership = Membership::new(
            adapter.clone(),
            jobs.clone(),
            leadership.clone(),
            events,
            set.names.clone(),
        );
        let discovery = discovery::Pods::new(set.names.clone(), pods, &set.sizes);
        let scaler = Scaler::new(adapter.clone(), jobs.clone(), set);
        leading.tasks = vec![
            tokio::spawn(membership.clone().run(discovery, stop.clone())),
            tokio::spawn(scaler.clone().run(leadership, stop.clone())),
        ];
        leading.membership = Some(membership);
        leading.scaler = Some(scaler);
        leading
    }

    /// What is known about the nodes outside of the cluster of servers.
    pub(crate) fn outside(&self, kubernetes: &Parts) -> Outside {
        Outside {
            pods: kubernetes.pods.clone(),
            membership: self.membership.clone(),
        }
    }

    /// Tells Kubernetes what it costs to end a pod, too, if that is wanted.
    pub(crate) fn tell_costs(&mut self, costs: Option<DeletionCosts>, statistics: &Statistics, kubernetes: &Parts) {
        let Some(costs) = costs else { return };
        let statistics = statistics.clone();
        let loads = move || statistics.snapshot().loads.clone();
        let telling = costs.keep(loads, kubernetes.leadership.clone(), self.stop.clone());
        self.tasks.push(tokio::spawn(telling));
    }

    /// Waits until everything has stopped, and gives the Lease back, also if a part of it panicked.
    ///
    /// # Errors
    /// When a task panicked.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.stop.cancelled().await;
        let mut result = Ok(());
        for task in self.tasks {
            let ended = task.await.map_err(anyhow::Error::from);
            result = result.and(ended);
        }
        let given_back = match self.lease {
            Some(lease) => lease.give_back().await,
            None => Ok(()),
        };
        result.and(given_back)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use tokio::time::timeout;

    use super::*;
    use crate::kubernetes::api_server::{ApiServer, LIMIT};
    use crate::kubernetes::{Lease, Pace};

    #[tokio::test(start_paused = true)]
    async fn the_lease_is_given_back_as_soon_as_admin_is_told_to_stop_although_a_part_panicked() {
        let server = ApiServer::new();
        let (lease, leadership) = Lease::new(
            server.door().client(),
            "wsmesh-admin",
            "admin-1",
            Pace::default(),
            || true,
        );
        let stop = CancellationToken::new();
        let (acting, stopping) = (leadership.clone(), stop.clone());
        let leading = Leading {
            scaler: None,
            membership: None,
            tasks: vec![
                tokio::spawn(async { panic!("a part of it") }),
                tokio::spawn(async move {
                    stopping.cancelled().await;
                    assert!(acting.is_mine(), "who acts stops first");
                }),
            ],
            lease: Some(HeldLease::keep(lease)),
            stop: stop.clone(),
        };
        let ending = tokio::spawn(leading.end());
        timeout(LIMIT, leadership.taken()).await.expect("it leads in time");
        stop.cancel();
        let ended = timeout(Duration::from_secs(5), ending).await.expect("in time");
        assert!(ended.expect("no panic").is_err(), "the panic is told");
        let holder = server.script(|script| {
            let lease = script.lease.clone().expect("a Lease");
            lease["spec"]["holderIdentity"].clone()
        });
        assert_eq!(holder, Value::Null);
        assert!(!leadership.is_mine());
    }
}
