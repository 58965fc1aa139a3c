//! The jobs that one admin knows, and the rules by which the lists of all admins become the same one. State without I/O.
//!
//! Of two versions of a job, the end wins over running, and done over failed: what was done once is done. Of two ends alike the
//! earlier one wins, then the name of the admin that judged it; so does the earlier of two starts. These rules give the same job in
//! whatever order versions arrive, and however often. The last [`MOST_JOBS`] jobs are kept.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use wsmesh_adapter::{NodeId, ServerName};

use super::job::{Change, Job, JobState, Sight};
use super::replicas::Scaling;
use super::what::What;

/// Most jobs that are kept.
pub(crate) const MOST_JOBS: usize = 100;

/// How long after a StatefulSet was scaled down its old number of replicas may still be read somewhere.
const SETTLED_AFTER: Duration = Duration::from_secs(30);

/// What another admin's version of a job was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged {
    /// Something about the job was new to this admin.
    pub(super) is_news: bool,
    /// This admin knows something about it that the other one does not.
    pub(super) is_behind: bool,
}

/// All jobs that are kept, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    revision: u64,
}

#[derive(Debug)]
struct Entry {
    job: Job,
    /// The ledger's revision when it changed last.
    revision: u64,
    /// When this admin learned of its end, on this server's clock.
    ended: Option<Instant>,
}

impl Entry {
    fn changed(&mut self, revision: u64) {
        self.revision = revision;
        if !self.job.is_running() {
            self.ended.get_or_insert_with(Instant::now);
        }
    }
}

impl Ledger {
    /// Grows with every change.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// The jobs, oldest first.
    pub(super) fn jobs(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.entries.iter().map(|entry| &entry.job)
    }

    pub(super) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs().find(|job| job.id == id)
    }

    /// The jobs that changed after this revision, in the order of their changes.
    pub(super) fn changed_since(&self, revision: u64) -> Vec<Job> {
        let mut changed: Vec<_> = self.entries.iter().filter(|entry| entry.revision > revision).collect();
        changed.sort_by_key(|entry| entry.revision);
        changed.into_iter().map(|entry| entry.job.clone()).collect()
    }

    pub(super) fn any_running(&self) -> bool {
        self.jobs().any(Job::is_running)
    }

    /// The job of a change that is asked for now: the one that is known, else a new one. A change that has failed is tried again.
    /// The second value tells whether it is new.
    pub(super) fn begin(&mut self, what: What, node: &NodeId, change: Change, me: &ServerName) -> (Job, bool) {
        let of_this = self.jobs().filter(|job| job.is_of(what, node, change.epoch));
        let last = of_this.max_by_key(|job| job.change.attempt);
        let attempt = match last {
            Some(last) if last.state != JobState::Failed => return (last.clone(), false),
            Some(failed) => failed.change.attempt.saturating_add(1),
            None => 1,
        };
        let job = Job::begin(what, node.clone(), Change { attempt, ..change }, me.clone());
        self.put(job.clone());
        (job, true)
    }

    /// The jobs that scale and are running, in the order in which they are carried out.
    pub(super) fn scales(&self) -> impl Iterator<Item = &Job> {
        self.jobs().filter(|job| job.what == What::Scale && job.is_running())
    }

    /// How many pods of the StatefulSet may be nodes at most, if it is being scaled or was scaled down a moment ago. Clocks of admins are not
    /// compared: what counts is when this admin learned of the end.
    pub(super) fn scale_target(&self, now: Instant) -> Option<u32> {
        if let Some(job) = self.scales().next() {
            return job.scaling.as_ref().map(|scaling| scaling.target(&job.nodes));
        }
        let last = self.entries.iter().rev().find(|entry| entry.job.what == What::Scale)?;
        let replicas = last.job.replicas.filter(|replicas| replicas.is_down())?;
        let is_settled =
            last.job.state != JobState::Done || now.saturating_duration_since(last.ended?) >= SETTLED_AFTER;
        (!is_settled).then_some(replicas.to)
    }

    /// The job of a scale that is asked for now: the one that is running if it does the same, else a new one. The second value tells
    /// whether it is new.
    ///
    /// # Errors
    /// The job that is running, if it does something else.
    pub(super) fn begin_scale(&mut self, scaling: Scaling, me: &ServerName) -> Result<(Job, bool), Box<Job>> {
        if let Some(running) = self.scales().next() {
            return match running.replicas.map(|replicas| replicas.to) == Some(scaling.replicas.to) {
                true => Ok((running.clone(), false)),
                false => Err(Box::new(running.clone())),
            };
        }
        let before = self.jobs().filter(|job| job.is_same_scale(&scaling));
        let attempt = before.map(|job| job.change.attempt).max().unwrap_or_default();
        let job = Job::begin_scale(scaling, attempt.saturating_add(1), me.clone());
        self.put(job.clone());
        Ok((job, true))
    }

    /// Ends a running job. Returns whether it was running.
    pub(super) fn end(&mut self, id: &str, end: Result<(), String>, me: &ServerName) -> bool {
        let mut running = self.entries.iter_mut().filter(|entry| entry.job.is_running());
        let Some(entry) = running.find(|entry| entry.job.id == id) else {
            return false;
        };
        entry.job.end(end, me);
        self.revision += 1;
        entry.changed(self.revision);
        true
    }

    /// Judges the running jobs. Returns those that have ended.
    pub(super) fn judge(
        &mut self,
        sight: &Sight<'_>,
        me: &ServerName,
        limit: impl Fn(&Job) -> Duration,
    ) -> Vec<String> {
        let mut ended = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.job.is_running()) {
            let limit = limit(&entry.job);
            if entry.job.judge(sight, me, limit) {
                self.revision += 1;
                entry.changed(self.revision);
            }
            if !entry.job.is_running() {
                ended.push(entry.job.id.clone());
            }
        }
        ended
    }

    /// Another admin's version of a job has arrived.
    pub(super) fn merge(&mut self, theirs: Job) -> Merged {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.job.id == theirs.id) else {
            let id = theirs.id.clone();
            self.put(theirs);
            return Merged {
                is_news: self.job(&id).is_some(),
                is_behind: false,
            };
        };
        let mine = &mut entry.job;
        let (starts, ends) = (start(mine).cmp(&start(&theirs)), end(mine).cmp(&end(&theirs)));
        let merged = Merged {
            is_news: starts.is_gt() || ends.is_gt(),
            is_behind: starts.is_lt() || ends.is_lt(),
        };
        // Clocks of admins are not compared: only ages travel, and a message makes an age smaller, never larger.
        let began = mine.began.min(theirs.began);
        let (started_at, admin) = start(mine).min(start(&theirs));
        let first = if starts.is_gt() { &theirs } else { &*mine };
        let missing = first.missing.clone();
        if ends.is_gt() {
            *mine = theirs;
        }
        (mine.began, mine.admin, mine.started_at, mine.missing) = (began, admin, started_at, missing);
        if merged.is_news {
            self.revision += 1;
            entry.changed(self.revision);
            self.entries.sort_by(|a, b| order(&a.job).cmp(&order(&b.job)));
        }
        merged
    }

    /// Keeps a job. If there are too many, the oldest finished one is dropped, which may be this one.
    fn put(&mut self, job: Job) {
        self.revision += 1;
        let revision = self.revision;
        let place = self.entries.partition_point(|entry| order(&entry.job) < order(&job));
        let ended = (!job.is_running()).then(Instant::now);
        self.entries.insert(place, Entry { job, revision, ended });
        if self.entries.len() > MOST_JOBS {
            let finished = self.entries.iter().position(|entry| !entry.job.is_running());
            self.entries.remove(finished.unwrap_or(0));
        }
    }
}

/// Where a job stands in the list.
pub(super) fn order(job: &Job) -> (Timestamp, &str) {
    (job.started_at, &job.id)
}

/// The smaller of two starts wins.
fn start(job: &Job) -> (Timestamp, ServerName) {
    (job.started_at, job.admin.clone())
}

/// The smaller of two ends wins.
fn end(job: &Job) -> impl Ord {
    (Reverse(job.state), job.finished_at, job.judge.clone(), job.why.clone())
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
