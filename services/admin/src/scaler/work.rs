//! Carries out the job that scales, step by step, while this admin leads. What a step needs is read anew each time, so that whoever
//! takes over goes on where this admin was; only what this admin did itself is remembered.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{NodeId, TopologyError};

use super::Scaler;
use super::step::{self, Step};
use crate::jobs::{JOB_LIMIT, Job, JobState};
use crate::kubernetes::{Leadership, ScaleFault, Sized};

/// What this admin did for one job.
#[derive(Debug, Default)]
struct Memory {
    /// The job's id.
    job: String,
    /// The node that it lets go of, and the job of that.
    removal: Option<(NodeId, String)>,
    /// Whether it changed the replicas.
    scaled: bool,
    /// Since when the Kubernetes API has had trouble.
    trouble_since: Option<Instant>,
    /// Since when a node has been the last one that some server hears.
    needed_since: Option<Instant>,
}

/// How patient this admin is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How often a running job is looked at.
    pub(crate) every: Duration,
    /// How long the Kubernetes API may have trouble before the job fails.
    pub(crate) patience: Duration,
    /// How long a node that is to leave may be the last one that some server hears before the job fails.
    pub(crate) needed: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            needed: JOB_LIMIT,
        }
    }
}

impl Scaler {
    /// Carries out jobs while this admin leads, until `shutdown`.
    pub(crate) async fn run(self, leadership: Leadership, shutdown: CancellationToken) {
        let leading = async {
            loop {
                leadership.taken().await;
                tokio::select! {
                    () = self.lead(Pace::default()) => return,
                    () = leadership.lost() => {}
                }
            }
        };
        shutdown.run_until_cancelled(leading).await;
    }

    /// Carries out jobs until there are no more. Dropping the future in the middle loses nothing.
    pub(crate) async fn lead(&self, pace: Pace) {
        let mut changes = self.jobs.subscribe();
        let mut every = interval(pace.every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut memory = Memory::default();
        loop {
            let mut scales = self.jobs.scales().into_iter();
            let Some(job) = scales.next() else {
                if changes.next().await.is_none() {
                    return;
                }
                continue;
            };
            scales.for_each(|other| self.give_way(&other, &job));
            if memory.job != job.id {
                memory = Memory::of(&job);
            }
            match self.advance(&job, &mut memory, pace).await {
                Some(end) => self.jobs.end_scale(&job.id, end),
                None => drop(every.tick().await),
            }
        }
    }

    /// Two admins accepted this job and another one at the same moment, and the other one is first.
    fn give_way(&self, job: &Job, first: &Job) {
        let why = format!(
            "job {} was accepted at the same moment and is first; scale again when it has ended",
            first.id
        );
        self.jobs.end_scale(&job.id, Err(why));
    }

    /// Takes the next step. Returns the job's end, if it has come.
    async fn advance(&self, job: &Job, memory: &mut Memory, pace: Pace) -> Option<Result<(), String>> {
        let patience = pace.patience;
        let replicas = job.replicas?;
        let read = match self.scale.read().await {
            Ok(read) => read,
            Err(fault) => return memory.failed(&fault, patience),
        };
        let step = step::next(replicas, read.replicas, &job.nodes);
        if step != Step::Scale {
            memory.trouble_since = None;
        }
        match step {
            Step::Wait => None,
            Step::Done => Some(Ok(())),
            Step::Fail(why) => Some(Err(why)),
            Step::Drain(node) => self.drain(&node, memory, pace.needed).await,
            Step::Scale if memory.scaled => Some(Err(format!(
                "the StatefulSet has {} replicas again, after it was given {}; look who else changes it (kubectl scale, an autoscaler, a \
                 tool that applies manifests), then scale again",
                replicas.from, replicas.to
            ))),
            Step::Scale => self.scale_to(replicas.to, &read, memory, patience).await,
        }
    }

    /// Drains a node, or looks how that goes on.
    async fn drain(&self, node: &NodeId, memory: &mut Memory, needed: Duration) -> Option<Result<(), String>> {
        let removal = memory.removal.as_ref().filter(|(removed, _)| removed == node);
        let removal = match removal {
            Some((_, id)) => self.jobs.job(id),
            None => match self.jobs.remove(node).await {
                Ok(removal) => {
                    memory.removal = Some((node.clone(), removal.id.clone()));
                    memory.needed_since = None;
                    Some(removal)
                }
                // It has left in this moment.
                Err(TopologyError::Unknown(_)) => None,
                // A server may have lost another node for a moment only.
                Err(error @ TopologyError::LastNode(_)) => {
                    let is_over = memory.needed_for(node, &error) >= needed;
                    return is_over.then(|| Err(kept(node, &format!("for {} s: {error}", needed.as_secs_f64()))));
                }
                Err(error) => return Some(Err(kept(node, &error.to_string()))),
            },
        }?;
        match (removal.state, removal.why) {
            (JobState::Failed, why) => Some(Err(kept(node, &why.unwrap_or_default()))),
            _ => None,
        }
    }

    async fn scale_to(
        &self,
        to: u32,
        read: &Sized,
        memory: &mut Memory,
        patience: Duration,
    ) -> Option<Result<(), String>> {
        match self.scale.set(to, read).await {
            Ok(_) => {
                let (stateful_set, from) = (self.scale.name(), read.replicas);
                tracing::info!(job = memory.job, stateful_set, from, to, "StatefulSet scaled");
                memory.scaled = true;
                None
            }
            Err(fault) => memory.failed(&fault, patience),
        }
    }
}

impl Memory {
    fn of(job: &Job) -> Self {
        Self {
            job: job.id.clone(),
            ..Self::default()
        }
    }

    /// The node cannot leave now. Returns for how long.
    fn needed_for(&mut self, node: &NodeId, why: &TopologyError) -> Duration {
        let since = *self.needed_since.get_or_insert_with(|| {
            tracing::warn!(job = self.job, %node, %why, "a node cannot leave now; trying again");
            Instant::now()
        });
        since.elapsed()
    }

    /// Whether the job has failed with this.
    fn failed(&mut self, fault: &ScaleFault, patience: Duration) -> Option<Result<(), String>> {
        match fault {
            ScaleFault::Changed => None,
            ScaleFault::Refused(why) | ScaleFault::Absent(why) => Some(Err(format!("{why}; then scale again"))),
            ScaleFault::Unavailable(why) => {
                let since = *self.trouble_since.get_or_insert_with(|| {
                    tracing::warn!(
                        job = self.job,
                        why,
                        "a step of the job is not possible now; trying again"
                    );
                    Instant::now()
                });
                (since.elapsed() >= patience).then(|| {
                    let seconds = patience.as_secs_f64();
                    Err(format!(
                        "for {seconds} s: {why}. Nodes that were drained and whose pods stay join again; scale again when it works"
                    ))
                })
            }
        }
    }
}

fn kept(node: &NodeId, why: &str) -> String {
    format!(
        "{node} cannot leave: {why}. The StatefulSet keeps its replicas, and nodes that were drained join again; see GET /api/v1/nodes, \
         then scale again"
    )
}
