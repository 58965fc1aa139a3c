//! A job as one admin tells it to another: one message for each job. Ages travel instead of the time on a clock, so that time limits
//! hold although clocks differ. Fields that this version does not know are ignored.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use wsmesh_adapter::{NodeId, ServerName};

use super::job::{Change, Job, JobState};
use super::progress::ServerProgress;
use super::replicas::{NodeProgress, Scaling};
use super::what::What;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    change: Change,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scaling: Option<Scaling>,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeProgress>,
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
            nodes: job.nodes.clone(),
        });
        Self {
            id: job.id.clone(),
            what: job.what,
            node: job.node.clone(),
            change: Change {
                missing: job.missing.clone(),
                ..job.change.clone()
            },
            scaling: job.scaling.clone(),
            admin: job.admin.clone(),
            started_at: job.started_at,
            age_ms: u64::try_from(now.duration_since(job.began).as_millis()).unwrap_or(u64::MAX),
            end,
        }
    }

    /// The job that was told, `late` after it was sent. None if the job is incomplete, or if its end is not valid.
    pub(super) fn job(self, now: Instant, late: Duration) -> Option<Job> {
        let is_whole = match self.what {
            What::Add | What::Remove => self.node.is_some() && self.scaling.is_none(),
            What::Scale => self.node.is_none() && self.scaling.is_some(),
        };
        if !is_whole {
            return None;
        }
        let age = Duration::from_millis(self.age_ms).saturating_add(late);
        let job = Job {
            node: self.node,
            replicas: self.scaling.as_ref().map(|scaling| scaling.replicas),
            started_at: self.started_at,
            missing: self.change.missing.clone(),
            change: self.change,
            scaling: self.scaling,
            // A clock that began later than the job cannot say when that was.
            began: now.checked_sub(age).unwrap_or(now),
            ..Job::new(self.id, self.what, self.admin)
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
                nodes: end.nodes,
                ..job
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::replicas::Replicas;
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
    fn a_scale_arrives_as_it_was_told_and_an_incomplete_job_is_refused() {
        let scaling = Scaling {
            replicas: Replicas { from: 5, to: 3 },
            version: "7".to_owned(),
            nodes: ["redis-4", "redis-3"]
                .map(|id| NodeId::new(id).expect("an id"))
                .to_vec(),
        };
        let mut job = Job::begin_scale(scaling.clone(), 2, ServerName::new("admin-1").expect("a name"));
        let json = serde_json::to_value(News::of(&job, job.began)).expect("JSON");
        assert_eq!(json["scaling"]["to"], 3);
        let arrived = told(&json.to_string(), Duration::ZERO).expect("a job");
        assert_eq!(
            (arrived.scaling, arrived.replicas, arrived.node),
            (Some(scaling), job.replicas, None)
        );
        assert_eq!((arrived.id, arrived.change.attempt), (job.id.clone(), 2));
        job.end(Err("forbidden".to_owned()), &job.admin.clone());
        let ended = serde_json::to_string(&News::of(&job, job.began)).expect("JSON");
        let ended = told(&ended, Duration::ZERO).expect("a job");
        assert_eq!(
            (ended.state, ended.why.as_deref()),
            (JobState::Failed, Some("forbidden"))
        );
        let mut half = json.clone();
        half["scaling"] = serde_json::Value::Null;
        assert!(told(&half.to_string(), Duration::ZERO).is_none());
        half["what"] = "remove".into();
        assert!(told(&half.to_string(), Duration::ZERO).is_none(), "of no node");
    }

    #[test]
    fn fields_of_a_later_version_are_ignored_and_an_end_that_is_not_valid_is_refused() {
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
