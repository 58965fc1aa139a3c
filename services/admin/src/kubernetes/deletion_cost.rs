//! Tells Kubernetes which pods to end first when a Deployment is made smaller: the annotation `controller.kubernetes.io/pod-deletion-cost`
//! of a pod is how much would be interrupted there. Advice only: nothing waits for it, and nothing depends on it.
//!
//! One admin, the one that leads, writes it, at most every 10 s, and only what has really changed. A round is bounded in requests and
//! time, and ends at the first failure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::ServerName;

use super::Leadership;

const ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Between two rounds at least.
const EVERY: Duration = Duration::from_secs(10);
/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Most pods in one round; the others come in the next.
const MOST: usize = 64;
/// How many are told at once.
const AT_ONCE: usize = 4;

/// How much would be interrupted if each server ended.
pub(crate) type Loads = BTreeMap<ServerName, u64>;

/// Writes the costs of pods. In Kubernetes, a server has the name of its pod.
#[derive(Debug)]
pub(crate) struct DeletionCosts {
    pods: Api<Pod>,
    answer: Duration,
    /// What was written last.
    told: BTreeMap<ServerName, i32>,
    /// Servers that are no pods of this namespace.
    strangers: BTreeSet<ServerName>,
    has_failed: bool,
}

impl DeletionCosts {
    /// For the pods of the client's namespace.
    pub(crate) fn new(client: Client) -> Self {
        Self {
            pods: Api::default_namespaced(client),
            answer: ANSWER,
            told: BTreeMap::new(),
            strangers: BTreeSet::new(),
            has_failed: false,
        }
    }

    /// Writes costs while this admin leads, until `shutdown`.
    pub(crate) async fn keep(
        mut self,
        loads: impl Fn() -> Loads + Send + Sync,
        leadership: Leadership,
        shutdown: CancellationToken,
    ) {
        let keeping = async {
            loop {
                leadership.taken().await;
                // Another admin may have written others meanwhile.
                self.told.clear();
                self.strangers.clear();
                tokio::select! {
                    () = self.lead(&loads) => {}
                    () = leadership.lost() => {}
                }
            }
        };
        shutdown.run_until_cancelled(keeping).await;
    }

    /// Never returns.
    async fn lead(&mut self, loads: &(impl Fn() -> Loads + Send + Sync)) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let loads = loads();
            self.round(&loads).await;
        }
    }

    /// Writes what has changed.
    async fn round(&mut self, loads: &Loads) {
        // A server of this name that comes back may be another pod.
        self.told.retain(|server, _| loads.contains_key(server));
        self.strangers.retain(|server| loads.contains_key(server));
        let due: Vec<_> = self.due(loads).into_iter().take(MOST).collect();
        for few in due.chunks(AT_ONCE) {
            let answers = join_all(few.iter().map(|(server, cost)| self.write(server, *cost))).await;
            let mut problem = None;
            for ((server, cost), answer) in few.iter().zip(answers) {
                match answer {
                    Ok(true) => drop(self.told.insert(server.clone(), *cost)),
                    Ok(false) => drop(self.strangers.insert(server.clone())),
                    Err(why) => problem = Some(why),
                }
            }
            self.note(problem.as_deref());
            if problem.is_some() {
                return;
            }
        }
    }

    /// The servers whose cost has really changed, the cheapest first: those are to be ended.
    fn due(&self, loads: &Loads) -> Vec<(ServerName, i32)> {
        let costs = loads
            .iter()
            .map(|(server, load)| (server, i32::try_from(*load).unwrap_or(i32::MAX)));
        let mut due: Vec<_> = costs
            .filter(|(server, cost)| {
                !self.strangers.contains(*server) && self.told.get(*server).is_none_or(|told| is_another(*told, *cost))
            })
            .map(|(server, cost)| (server.clone(), cost))
            .collect();
        due.sort_by_key(|(_, cost)| *cost);
        due
    }

    /// Whether there is such a pod.
    async fn write(&self, server: &ServerName, cost: i32) -> Result<bool, String> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {ANNOTATION: cost.to_string()}}}));
        let params = PatchParams::default();
        let patched = self.pods.patch_metadata(server.as_str(), &params, &patch);
        match timeout(self.answer, patched).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(false),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!(
                "the Kubernetes API did not answer within {} s",
                self.answer.as_secs_f64()
            )),
        }
    }

    fn note(&mut self, problem: Option<&str>) {
        if let Some(problem) = problem
            && !self.has_failed
        {
            tracing::warn!(
                problem,
                "the costs of ending pods cannot be written, so Kubernetes may end a busy one first; trying again, later failures are not \
                 logged (admin doctor says which rights are missing)"
            );
        }
        self.has_failed = problem.is_some();
    }
}

/// Whether a cost is another one: nothing is not something, and otherwise a tenth matters.
fn is_another(told: i32, cost: i32) -> bool {
    let difference = told.abs_diff(cost);
    difference > 0 && ((told == 0) != (cost == 0) || difference.saturating_mul(10) >= told.max(cost).unsigned_abs())
}

#[cfg(test)]
#[path = "deletion_cost_tests.rs"]
mod tests;
