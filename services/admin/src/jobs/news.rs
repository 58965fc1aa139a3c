//! A job as one admin tells it to another: one message for each job. Ages travel instead of the time on a clock, so that time limits
//! hold although clocks differ. Fields that this version does not know are ignored.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use wsmesh_adapter::{NodeId, ServerName};

use super::job::{Change, Job, JobState, What};
use super::progress::ServerProgress;

/// The event that carries a job to other admins.
pub(super) const JOB: &str = "wsmesh.job";
/// The event with which an admin asks another one for all of its jobs.
pub(super) const JOBS: &str = "wsmesh.jobs";

/// A job on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct News {
    id: String,
    what: What,
    node: NodeId,
    change: Change,
    admin: ServerName,
    started_at: Timestamp,
    age_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<End>,
}

/// How a job ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    state: JobState,
    why: Option<String>,
    finished_at: Timestamp,
    judge: ServerName,
    servers: Vec<ServerProgress>,
}

impl News {
    /// The job as it is now.
    pub(super) fn of(job: &Job, now: Instant) -> Self {
        let end = job.finished_at.zip(job.judge.clone()).map(|(finished_at, judge)| End {
            state: job.state,
            why: job.why.clone(),
            finished_at,
            judge,
            servers: job.servers.clone(),
        });
        Self {
            id: job.id.clone(),
            what: job.what,
            node: job.node.clone(),
            change: Change {
                missing: job.missing.clone(),
                ..job.change.clone()
            },
            admin: job.admin.clone(),
            started_at: job.started_at,
            age_ms: u64::try_from(now.duration_since(job.began).as_millis()).unwrap_or(u64::MAX),
            end,
        }
    }

    /// The job that was told, `late` after it was sent. None if its end is none.
    pub(super) fn job(self, now: Instant, late: Duration) -> Option<Job> {
        let age = Duration::from_millis(self.age_ms).saturating_add(late);
        let job = Job {
            id: self.id,
            what: self.what,
            node: self.node,
            admin: self.admin,
            state: JobState::Running,
            why: None,
            started_at: self.started_at,
            finished_at: None,
            missing: self.change.missing.clone(),
            servers: Vec::new(),
            change: self.change,
            // A clock that began later than the job cannot say when that was.
            began: now.checked_sub(age).unwrap_or(now),
            judge: None,
        };
        match self.end {
            None => Some(job),
            Some(End {
                state: JobState::Running,
                ..
            }) => None,
            Some(end) => Some(Job {
                state: end.state,
                why: end.why,
                finished_at: Some(end.finished_at),
                judge: Some(end.judge),
                servers: end.servers,
                ..job
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::MissingServer;

    fn job() -> Job {
        let change = Change {
            epoch: 3,
            attempt: 1,
            url: "redis://redis-4:6379#redis-4".to_owned(),
            missing: vec![MissingServer {
                server: ServerName::new("ws-1").expect("a name"),
                why: "did not answer in time".to_owned(),
            }],
        };
        let node = NodeId::new("redis-4").expect("an id");
        Job::begin(What::Remove, node, change, ServerName::new("admin-1").expect("a name"))
    }

    fn told(json: &str, late: Duration) -> Option<Job> {
        let news: News = serde_json::from_str(json).expect("news");
        news.job(Instant::now(), late)
    }

    #[test]
    fn a_job_arrives_as_it_was_told_with_its_age() {
        let job = job();
        let later = job.began + Duration::from_secs(40);
        let json = serde_json::to_string(&News::of(&job, later)).expect("JSON");
        let before = Instant::now();
        let arrived = told(&json, Duration::ZERO).expect("a job");
        // A machine that was started a moment ago cannot say when 40 s ago was.
        if let Some(began) = before.checked_sub(Duration::from_secs(40)) {
            assert!(arrived.began >= began && arrived.began <= Instant::now() - Duration::from_secs(40));
        }
        let same = Job {
            began: job.began,
            ..arrived
        };
        assert_eq!(same.started_at.as_millisecond(), job.started_at.as_millisecond());
        assert_eq!(
            (same.id, same.change, same.missing, same.state),
            (job.id, job.change, job.missing, JobState::Running)
        );
    }

    #[test]
    fn fields_of_a_later_version_are_ignored_and_an_end_that_is_none_is_refused() {
        let job = job();
        let mut json = serde_json::to_value(News::of(&job, job.began)).expect("JSON");
        json["later"] = true.into();
        assert!(told(&json.to_string(), Duration::ZERO).is_some());
        json["end"] = serde_json::json!({
            "state": "running", "why": null, "finishedAt": "2023-11-14T22:13:20Z", "judge": "admin-2", "servers": []
        });
        assert!(told(&json.to_string(), Duration::ZERO).is_none());
        json["end"]["state"] = "done".into();
        assert_eq!(
            told(&json.to_string(), Duration::ZERO).expect("a job").state,
            JobState::Done
        );
        for wrong in ["null", "{}", "[]", r#"{"id":"a"}"#] {
            assert!(serde_json::from_str::<News>(wrong).is_err(), "{wrong}");
        }
    }
}
