//! Changes of the nodes as jobs: requested once, made by every server, followed here until they are done or have failed.
//!
//! A job is only a view: the change itself is in the topology, which every server carries. So if an admin ends, only its jobs
//! are lost. The last [`KEPT`] jobs are kept in memory. A request that is repeated gets the same job.

mod progress;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use wsmesh_adapter::{Adapter, NodeId, NodeView, ServerName, TopologyError};

use crate::gather;
use crate::shapes::Name;
pub(crate) use progress::What;
use progress::{ServerProgress, Verdict};

/// Most jobs that are kept.
const KEPT: usize = 100;
/// How often running jobs are checked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Time limit of a change. Without trouble a change takes seconds. Draining a node may take the replay window in addition.
pub(crate) const JOB_LIMIT: Duration = Duration::from_secs(60);

/// One change of the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) what: What,
    #[schema(value_type = Name)]
    pub(crate) node: NodeId,
    /// The admin that took the job, and the only one that knows it.
    #[schema(value_type = Name)]
    pub(crate) admin: ServerName,
    pub(crate) state: JobState,
    /// Why it failed, and what to do.
    #[schema(required = true)]
    pub(crate) why: Option<String>,
    #[serde(serialize_with = "gather::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) started_at: Timestamp,
    #[serde(serialize_with = "gather::rfc3339_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub(crate) finished_at: Option<Timestamp>,
    /// By name; the state at the end once the job has finished.
    pub(crate) servers: Vec<ServerProgress>,
    #[serde(skip)]
    epoch: u64,
    #[serde(skip)]
    began: Instant,
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JobState {
    Running,
    Done,
    Failed,
}

/// The jobs of this admin. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    adapter: Adapter,
    /// For adding, and for removing.
    limits: [Duration; 2],
    ledger: Arc<Mutex<Ledger>>,
    begun: Arc<Notify>,
}

/// Oldest first.
#[derive(Debug, Default)]
struct Ledger {
    jobs: VecDeque<Job>,
    numbers: u64,
}

impl Jobs {
    /// No jobs yet. Adding a node may take `limit`; removing one may take the replay window in addition.
    pub(crate) fn new(adapter: Adapter, limit: Duration, replay_window: Duration) -> Self {
        Self {
            adapter,
            limits: [limit, limit + replay_window],
            ledger: Arc::default(),
            begun: Arc::default(),
        }
    }

    /// Adds a node and returns the job that follows the change.
    ///
    /// # Errors
    /// As [`Adapter::add_node`].
    pub(crate) fn add(&self, url: &str) -> Result<Job, TopologyError> {
        let node = self.adapter.add_node(url)?;
        self.begin(What::Add, node)
    }

    /// Drains and removes a node and returns the job that follows the change.
    ///
    /// # Errors
    /// As [`Adapter::drain_node`].
    pub(crate) fn remove(&self, node: &NodeId) -> Result<Job, TopologyError> {
        self.adapter.drain_node(node)?;
        self.begin(What::Remove, node.clone())
    }

    /// All jobs that are kept, newest first.
    pub(crate) fn list(&self) -> Vec<Job> {
        self.look();
        self.ledger().jobs.iter().rev().cloned().collect()
    }

    /// The job with this id.
    pub(crate) fn job(&self, id: &str) -> Option<Job> {
        self.look();
        self.ledger().jobs.iter().find(|job| job.id == id).cloned()
    }

    /// Follows running jobs until `shutdown`, so that they end in time even if nobody asks for them.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let following = async {
            let mut every = tokio::time::interval(LOOK_EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                while !self.look() {
                    self.begun.notified().await;
                }
                every.tick().await;
            }
        };
        shutdown.run_until_cancelled(following).await;
    }

    fn begin(&self, what: What, node: NodeId) -> Result<Job, TopologyError> {
        let (nodes, counted) = self.view();
        let view = nodes.iter().find(|view| view.id == node);
        let view = view.ok_or_else(|| TopologyError::Unknown(node.clone()))?;
        let mut ledger = self.ledger();
        self.judge_all(&mut ledger, &nodes, &counted);
        let same = |job: &&Job| (job.what, &job.node, job.epoch) == (what, &node, view.epoch);
        if let Some(known) = ledger.jobs.iter().rev().find(same)
            && known.state != JobState::Failed
        {
            return Ok(known.clone());
        }
        ledger.numbers += 1;
        let mut job = Job {
            id: format!("{}-{}", self.adapter.instance(), ledger.numbers),
            what,
            node,
            admin: self.adapter.name().clone(),
            state: JobState::Running,
            why: None,
            started_at: Timestamp::now(),
            finished_at: None,
            servers: Vec::new(),
            epoch: view.epoch,
            began: Instant::now(),
        };
        tracing::info!(job = job.id, ?what, node = %job.node, "job started");
        job.judge(view, &counted, self.limit(what));
        ledger.push(job.clone());
        self.begun.notify_one();
        Ok(job)
    }

    /// Updates the running jobs. Returns whether any is still running.
    fn look(&self) -> bool {
        if !self.ledger().jobs.iter().any(Job::is_running) {
            return false;
        }
        let (nodes, counted) = self.view();
        self.judge_all(&mut self.ledger(), &nodes, &counted)
    }

    fn judge_all(&self, ledger: &mut Ledger, nodes: &[NodeView], counted: &BTreeSet<ServerName>) -> bool {
        for job in ledger.jobs.iter_mut().filter(|job| job.is_running()) {
            if let Some(view) = nodes.iter().find(|view| view.id == job.node) {
                job.judge(view, counted, self.limit(job.what));
            }
        }
        ledger.jobs.iter().any(Job::is_running)
    }

    /// The topology, and the servers that count.
    fn view(&self) -> (Vec<NodeView>, BTreeSet<ServerName>) {
        let servers = self.adapter.servers().into_iter();
        let counted = servers.filter(|server| server.counted).map(|server| server.name);
        (self.adapter.topology(), counted.collect())
    }

    fn limit(&self, what: What) -> Duration {
        match what {
            What::Add => self.limits[0],
            What::Remove => self.limits[1],
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }
}

impl Ledger {
    /// Keeps a job. If there are too many, the oldest finished one is dropped.
    fn push(&mut self, job: Job) {
        if self.jobs.len() == KEPT {
            let oldest = self.jobs.iter().position(|job| !job.is_running()).unwrap_or(0);
            self.jobs.remove(oldest);
        }
        self.jobs.push_back(job);
    }
}

impl Job {
    fn is_running(&self) -> bool {
        self.state == JobState::Running
    }

    fn judge(&mut self, node: &NodeView, counted: &BTreeSet<ServerName>, limit: Duration) {
        self.servers = progress::progress(self.what, node, counted);
        let (state, why) = match progress::verdict(self.what, self.epoch, node, &self.servers) {
            Verdict::Done => (JobState::Done, None),
            Verdict::Failed(why) => (JobState::Failed, Some(why)),
            Verdict::Running if self.began.elapsed() < limit => return,
            Verdict::Running => {
                let why = progress::overdue(self.what, &self.node, &self.servers, limit);
                (JobState::Failed, Some(why))
            }
        };
        match &why {
            None => tracing::info!(job = self.id, node = %self.node, "job done"),
            Some(why) => tracing::warn!(job = self.id, node = %self.node, why, "job failed"),
        }
        self.state = state;
        self.why = why;
        self.finished_at = Some(Timestamp::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: usize, state: JobState) -> Job {
        Job {
            id: number.to_string(),
            what: What::Add,
            node: NodeId::new("redis-1").expect("an id"),
            admin: ServerName::new("admin-1").expect("a name"),
            state,
            why: None,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
            servers: Vec::new(),
            epoch: 1,
            began: Instant::now(),
        }
    }

    #[test]
    fn the_last_hundred_jobs_are_kept_and_a_running_job_is_not_dropped() {
        let mut ledger = Ledger::default();
        ledger.push(job(0, JobState::Running));
        for number in 1..=KEPT + 5 {
            ledger.push(job(number, JobState::Done));
        }
        let ids: Vec<_> = ledger.jobs.iter().map(|job| job.id.as_str()).collect();
        assert_eq!((ids.len(), ids[0], ids[1]), (KEPT, "0", "7"));
    }
}
