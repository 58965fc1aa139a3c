//! Events about changes of nodes that have ended, and about scales that have begun or ended, whoever asked for them. The leader alone
//! tells, so each is told once.

use std::collections::VecDeque;

use super::shared::Shared;
use crate::jobs::{Job, JobState, MOST_JOBS, Replicas, What};
use crate::kubernetes::Told;

/// Tells until admin ends.
pub(super) async fn tell(on: &Shared) {
    let mut changes = on.jobs.subscribe();
    let mut told: VecDeque<(String, bool)> = VecDeque::new();
    while let Some(jobs) = changes.next().await {
        for job in jobs {
            let key = (job.id.clone(), job.is_running());
            let Some(news) = news_of(&job).filter(|_| !told.contains(&key)) else {
                continue;
            };
            // Another admin may have judged it otherwise; what is told first stays.
            told.push_back(key);
            if told.len() > 2 * MOST_JOBS {
                told.pop_front();
            }
            if on.leadership.is_mine() {
                on.events.tell(news);
            }
        }
    }
}

fn news_of(job: &Job) -> Option<Told> {
    let failed = || job.why.as_deref().unwrap_or("the change failed");
    if let Some(Replicas { from, to }) = job.replicas {
        return Some(match job.state {
            JobState::Running => Told::scaling(from, to),
            JobState::Done => Told::scaled(from, to),
            JobState::Failed => Told::not_scaled(from, to, failed()),
        });
    }
    let node = job.node.as_ref()?;
    match (job.state, job.what) {
        (JobState::Done, What::Add) => Some(Told::joined(node)),
        (JobState::Done, What::Remove) => Some(Told::left(node)),
        (JobState::Failed, _) => Some(Told::failed(node, failed())),
        (JobState::Done, What::Scale) | (JobState::Running, _) => None,
    }
}
