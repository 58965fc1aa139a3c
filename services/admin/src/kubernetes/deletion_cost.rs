//! Tells Kubernetes which pods to end first when a Deployment is made smaller: the annotation `controller.kubernetes.io/pod-deletion-cost`
//! of a pod is how much would be interrupted there. Advice only: nothing waits for it, and nothing depends on it.
//!
//! One admin, the one that leads, writes it, at most every 10 s, and only what has really changed. A pod that was never told costs
//! nothing for Kubernetes and would be ended first, so such pods come first, the costliest before the others. A round is bounded in
//! requests and time, and ends when the API server has trouble; a server that cannot be told holds up no other one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::ServerName;

use super::Leadership;
use super::said::{said, status_said};

const ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Between two rounds at least.
const EVERY: Duration = Duration::from_secs(10);
/// How long a pod is left alone after its cost was refused.
const REFUSED_FOR: Duration = Duration::from_secs(300);
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
    told: BTreeMap<ServerName, Written>,
    /// Servers that are no pods of this namespace.
    strangers: BTreeSet<ServerName>,
    /// Pods whose cost was refused, and when.
    refused: BTreeMap<ServerName, Instant>,
    has_failed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Written {
    cost: i32,
    at: Instant,
}

/// Why a cost was not written.
#[derive(Debug)]
enum Unwritten {
    /// There is no such pod.
    Stranger,
    /// The API server says no; it may say yes for another pod.
    Refused(String),
    /// The API server has trouble, so it has it with every pod.
    Trouble(String),
}

impl DeletionCosts {
    /// For the pods of the client's namespace.
    pub(crate) fn new(client: Client) -> Self {
        Self {
            pods: Api::default_namespaced(client),
            answer: ANSWER,
            told: BTreeMap::new(),
            strangers: BTreeSet::new(),
            refused: BTreeMap::new(),
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
                self.refused.clear();
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
        self.refused
            .retain(|server, at| loads.contains_key(server) && at.elapsed() < REFUSED_FOR);
        let due: Vec<_> = self.due(loads).into_iter().take(MOST).collect();
        if due.is_empty() {
            return;
        }
        let mut problem = None;
        for few in due.chunks(AT_ONCE) {
            let answers = join_all(few.iter().map(|(server, cost)| self.write(server, *cost))).await;
            let mut is_over = false;
            for ((server, cost), answer) in few.iter().zip(answers) {
                let server = server.clone();
                let at = Instant::now();
                match answer {
                    Ok(()) => drop(self.told.insert(server, Written { cost: *cost, at })),
                    Err(Unwritten::Stranger) => drop(self.strangers.insert(server)),
                    Err(Unwritten::Refused(why)) => {
                        problem = Some(format!("pod {server}: {why}"));
                        self.refused.insert(server, at);
                    }
                    Err(Unwritten::Trouble(why)) => {
                        problem = Some(why);
                        is_over = true;
                    }
                }
            }
            if is_over {
                break;
            }
        }
        self.note(problem.as_deref());
    }

    /// The servers whose cost has really changed: those that were never told first, then those that were told longest ago; the costliest
    /// before the others.
    fn due(&self, loads: &Loads) -> Vec<(ServerName, i32)> {
        let costs = loads
            .iter()
            .map(|(server, load)| (server, i32::try_from(*load).unwrap_or(i32::MAX)));
        let is_left_alone = |server| self.strangers.contains(server) || self.refused.contains_key(server);
        let mut due: Vec<_> = costs
            .filter(|(server, _)| !is_left_alone(*server))
            .map(|(server, cost)| (server, cost, self.told.get(server)))
            .filter(|(_, cost, told)| told.is_none_or(|told| is_another(told.cost, *cost)))
            .collect();
        due.sort_by_key(|(_, cost, told)| (told.map(|told| told.at), Reverse(*cost)));
        due.into_iter()
            .map(|(server, cost, _)| (server.clone(), cost))
            .collect()
    }

    async fn write(&self, server: &ServerName, cost: i32) -> Result<(), Unwritten> {
        // It would become a part of the path.
        if !is_pod_name(server.as_str()) {
            return Err(Unwritten::Stranger);
        }
        let patch = Patch::Merge(json!({"metadata": {"annotations": {ANNOTATION: cost.to_string()}}}));
        let params = PatchParams::default();
        let patched = self.pods.patch_metadata(server.as_str(), &params, &patch);
        match timeout(self.answer, patched).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(kube::Error::Api(status))) => Err(match status.code {
                404 => Unwritten::Stranger,
                // The token of a service account is replaced now and then, and too many requests are so for every pod.
                401 | 408 | 429 | 500.. => Unwritten::Trouble(status_said(&status)),
                _ => Unwritten::Refused(status_said(&status)),
            }),
            Ok(Err(error)) => Err(Unwritten::Trouble(said(&error))),
            Err(_) => Err(Unwritten::Trouble(format!(
                "the Kubernetes API did not answer within {} s",
                self.answer.as_secs_f64()
            ))),
        }
    }

    fn note(&mut self, problem: Option<&str>) {
        if let Some(problem) = problem
            && !self.has_failed
        {
            tracing::warn!(
                problem,
                "some costs of ending pods cannot be written, so Kubernetes may end a busy one first; trying again, later failures are not \
                 logged (admin doctor says which rights are missing)"
            );
        }
        self.has_failed = problem.is_some();
    }
}

/// Whether a pod can have this name: a DNS subdomain.
fn is_pod_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter().all(|end| end.is_some_and(|byte| is_plain(*byte)))
            && bytes.iter().all(|byte| is_plain(*byte) || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether a cost is another one: nothing is not something, and otherwise a tenth matters.
fn is_another(told: i32, cost: i32) -> bool {
    let difference = told.abs_diff(cost);
    difference > 0 && ((told == 0) != (cost == 0) || difference.saturating_mul(10) >= told.max(cost).unsigned_abs())
}

#[cfg(test)]
#[path = "deletion_cost_tests.rs"]
mod tests;
