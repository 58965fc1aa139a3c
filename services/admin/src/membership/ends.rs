//! Events about changes of nodes that have ended, whoever asked for them. The leader alone tells, so each is told once.

use std::collections::VecDeque;

use super::shared::Shared;
use crate::jobs::{Job, JobState, MOST_JOBS, What};
use crate::kubernetes::Told;

/// Tells until admin ends.
pub(super) async fn tell(on: &Shared) {
    let mut changes = on.jobs.subscribe();
    let mut told: VecDeque<String> = VecDeque::new();
    while let Some(jobs) = changes.next().await {
        for job in jobs {
            let Some(end) = end_of(&job).filter(|_| !told.contains(&job.id)) else {
                continue;
            };
            // Another admin may have judged it otherwise; what is told first stays.
            told.push_back(job.id);
            if told.len() > MOST_JOBS {
                told.pop_front();
            }
            if on.leadership.is_mine() {
                on.events.tell(end);
            }
        }
    }
}

fn end_of(job: &Job) -> Option<Told> {
    let node = job.node.as_ref()?;
    match (job.state, job.what) {
        (JobState::Done, What::Add) => Some(Told::joined(node)),
        (JobState::Done, What::Remove) => Some(Told::left(node)),
        (JobState::Failed, _) => Some(Told::failed(node, job.why.as_deref().unwrap_or("the change failed"))),
        (JobState::Done, What::Scale) | (JobState::Running, _) => None,
    }
}
