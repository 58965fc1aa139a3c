//! What this admin does for the cluster, as metrics: whether it leads, and the jobs that it knows. Every admin knows every job, so the
//! numbers of several admins are not added up. Where there is no Lease nobody leads, and nothing says so.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, register_int_counter_vec_with_registry};

use crate::jobs::{Job, JobState, MOST_JOBS, What};
use crate::kubernetes::Leadership;

/// How many jobs of each kind are running.
type Running = Box<dyn Fn() -> BTreeMap<What, usize> + Send + Sync>;

/// Counts jobs that have ended. Clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct JobMetrics {
    ended: IntCounterVec,
    since: Timestamp,
    /// The jobs that were counted last: a job that has ended may change once more.
    counted: Arc<Mutex<VecDeque<String>>>,
}

impl JobMetrics {
    /// Registers the metrics. What ended before now is not counted.
    ///
    /// # Errors
    /// When the registry has metrics of these names already.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let ended = register_int_counter_vec_with_registry!(
            "wsmesh_jobs_total",
            "Jobs (add, remove, scale) that ended as done or failed, as this admin knows them.",
            &["kind", "result"],
            registry
        )?;
        for kind in What::ALL {
            for result in ["done", "failed"] {
                ended.with_label_values(&[kind.as_str(), result]);
            }
        }
        Ok(Self {
            ended,
            since: Timestamp::now(),
            counted: Arc::default(),
        })
    }

    /// A job is another one than before.
    pub(crate) fn changed(&self, job: &Job) {
        let result = match job.state {
            JobState::Running => return,
            JobState::Done => "done",
            JobState::Failed => "failed",
        };
        let mut counted = self.counted.lock();
        if job.finished_at.is_none_or(|at| at < self.since) || counted.contains(&job.id) {
            return;
        }
        if counted.len() == MOST_JOBS {
            counted.pop_front();
        }
        counted.push_back(job.id.clone());
        self.ended.with_label_values(&[job.what.as_str(), result]).inc();
    }
}

/// Shows who leads, and what is running.
struct WorkMetrics {
    /// None: there is no Lease.
    leader: Option<(IntGauge, Leadership)>,
    running: IntGaugeVec,
    jobs: Running,
}

/// Registers the metrics of what is so at the moment. `leadership` is none where nobody leads.
///
/// # Errors
/// When the registry has metrics of these names already.
pub(crate) fn show_work(
    registry: &Registry,
    leadership: Option<Leadership>,
    jobs: impl Fn() -> BTreeMap<What, usize> + Send + Sync + 'static,
) -> prometheus::Result<()> {
    let leader = IntGauge::new(
        "wsmesh_leader",
        "1 while this admin leads: it follows the StatefulSet of the Redis pods. Only with --kubernetes-lease: without it, nobody leads.",
    )?;
    registry.register(Box::new(WorkMetrics {
        leader: leadership.map(|leadership| (leader, leadership)),
        running: IntGaugeVec::new(
            Opts::new(
                "wsmesh_jobs_running",
                "Jobs that are running, as this admin knows them.",
            ),
            &["kind"],
        )?,
        jobs: Box::new(jobs),
    }))
}

impl Collector for WorkMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let leader = self.leader.iter().flat_map(|(leader, _)| leader.desc());
        leader.chain(self.running.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        if let Some((leader, leadership)) = &self.leader {
            leader.set(i64::from(leadership.is_mine()));
            families = leader.collect();
        }
        let running = (self.jobs)();
        for kind in What::ALL {
            let jobs = running.get(&kind).copied().unwrap_or_default();
            self.running.with_label_values(&[kind.as_str()]).set(jobs as i64);
        }
        families.extend(self.running.collect());
        families
    }
}

impl fmt::Debug for WorkMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, what: What, state: JobState, finished_at: Option<Timestamp>) -> Job {
        let mut job = Job::for_tests(id, what);
        (job.state, job.finished_at) = (state, finished_at);
        job
    }

    #[test]
    fn a_job_is_counted_once_when_it_ends_and_one_from_before_is_not() {
        let registry = Registry::new();
        let metrics = JobMetrics::new(&registry).expect("registers");
        let (before, now) = (Timestamp::UNIX_EPOCH, Some(Timestamp::now()));
        metrics.changed(&job("a", What::Add, JobState::Running, None));
        metrics.changed(&job("a", What::Add, JobState::Failed, now));
        metrics.changed(&job("a", What::Add, JobState::Done, now));
        metrics.changed(&job("b", What::Remove, JobState::Done, now));
        metrics.changed(&job("c", What::Scale, JobState::Done, Some(before)));
        let count = |kind: What, result| metrics.ended.with_label_values(&[kind.as_str(), result]).get();
        assert_eq!((count(What::Add, "failed"), count(What::Add, "done")), (1, 0));
        assert_eq!((count(What::Remove, "done"), count(What::Scale, "done")), (1, 0));
    }

    #[test]
    fn it_is_shown_who_leads_and_what_runs() {
        let (script, leadership) = Leadership::scripted("admin-0", "admin-1");
        let registry = Registry::new();
        show_work(&registry, Some(leadership), || [(What::Scale, 2)].into()).expect("registers");
        let text = || {
            prometheus::TextEncoder::new()
                .encode_to_string(&registry.gather())
                .expect("text")
        };
        script.give();
        let shown = text();
        assert!(shown.contains("wsmesh_leader 1\n"), "{shown}");
        assert!(shown.contains("wsmesh_jobs_running{kind=\"scale\"} 2\n"), "{shown}");
        assert!(shown.contains("wsmesh_jobs_running{kind=\"add\"} 0\n"), "{shown}");
        script.take();
        assert!(text().contains("wsmesh_leader 0\n"));
    }

    #[test]
    fn where_there_is_no_lease_nothing_says_that_nobody_leads() {
        let registry = Registry::new();
        show_work(&registry, None, BTreeMap::new).expect("registers");
        let names: Vec<_> = registry
            .gather()
            .iter()
            .map(|family| family.name().to_owned())
            .collect();
        assert_eq!(names, ["wsmesh_jobs_running"]);
    }
}
