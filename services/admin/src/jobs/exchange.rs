//! Tells other admins about jobs, and hears from them. Nothing here decides: what arrives goes to the ledger.
//!
//! An admin that appears, because it started or was cut off, is asked for all of its jobs. An admin of the version before knows
//! nothing of this and ignores it; its jobs are known to itself only.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use wsmesh_adapter::{Listener, Payload, PublishError, ServerEvent, ServerName, Target};

use super::Jobs;
use super::job::Job;
use super::news::{JOB, JOBS, News};
use super::outgoing::Letter;

/// Longest wait until a node has taken the news of a job that was just accepted, before its caller gets the answer. So the job is
/// known elsewhere even if this admin ends in the next moment.
const BEFORE_THE_ANSWER: Duration = Duration::from_secs(1);
/// Pause after news could not be sent.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Tells the other admins at once about a job; later, if that is not possible now.
pub(super) async fn tell_now(jobs: &Jobs, job: &Job) {
    let letter = Letter::Job(job.id.clone());
    let mut owed = Owed {
        jobs,
        letter: Some(letter.clone()),
    };
    if matches!(timeout(BEFORE_THE_ANSWER, send(jobs, &letter)).await, Ok(Ok(()))) {
        owed.letter = None;
    }
}

/// What others must be told, also if whoever tells it is dropped meanwhile, with the request of a caller that went away.
struct Owed<'a> {
    jobs: &'a Jobs,
    letter: Option<Letter>,
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if let Some(letter) = self.letter.take() {
            self.jobs.post(letter);
        }
    }
}

/// Hears what other admins tell, until the listener is ended.
pub(super) async fn hear(jobs: &Jobs, mut news: Listener) {
    while let Some(event) = news.next().await {
        let now = Instant::now();
        let job = event.payload.parse::<News>().map(|news| news.job(now, event.age));
        match job {
            Ok(Some(job)) => jobs.take(job, event.sender),
            Ok(None) => {
                tracing::warn!(sender = %event.sender, "an admin told a job that is incomplete, or whose end is not valid: do all admins run the same version?")
            }
            // A later version may know other changes of nodes.
            Err(error) => {
                tracing::warn!(sender = %event.sender, %error, "an admin told a job that cannot be read: do all admins run the same version?")
            }
        }
    }
}

/// Answers admins that ask for all jobs, until the listener is ended.
pub(super) async fn answer(jobs: &Jobs, mut questions: Listener) {
    while let Some(ServerEvent { sender, .. }) = questions.next().await {
        if sender != *jobs.adapter.name() {
            jobs.post(Letter::AllTo(sender));
        }
    }
}

/// Asks every admin that appears for its jobs, as soon as this server can be answered.
pub(super) async fn ask_newcomers(jobs: &Jobs) {
    let adapter = &jobs.adapter;
    adapter.ready().await;
    let mut roster = adapter.roster();
    let mut known = BTreeSet::new();
    loop {
        let servers = roster.borrow_and_update().clone();
        let admins = servers.iter().filter(|server| server.service == *adapter.service());
        let others = admins.filter(|server| server.name != *adapter.name());
        let now: BTreeSet<_> = others.map(|server| (server.name.clone(), server.instance)).collect();
        for (name, _) in now.difference(&known) {
            jobs.post(Letter::AskOf(name.clone()));
        }
        known = now;
        if roster.changed().await.is_err() {
            return;
        }
    }
}

/// Sends what waits to be told.
pub(super) async fn tell(jobs: &Jobs) {
    let mut again = tokio::time::interval(AGAIN_AFTER);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let Some(letter) = jobs.next_letter().await else {
            continue;
        };
        match send(jobs, &letter).await {
            // It has ended meanwhile, and asks when it is back.
            Ok(()) | Err(PublishError::Target(_)) => {}
            Err(error) => {
                tracing::debug!(?letter, %error, "other admins could not be told about a job; trying again");
                again.reset();
                again.tick().await;
                jobs.post(letter);
            }
        }
    }
}

async fn send(jobs: &Jobs, letter: &Letter) -> Result<(), PublishError> {
    match letter {
        Letter::Job(id) => send_job(jobs, id, jobs.other_admins()).await,
        Letter::JobTo(to, id) => send_job(jobs, id, vec![to.clone()]).await,
        Letter::AllTo(to) => {
            for job in jobs.list() {
                send_job(jobs, &job.id, vec![to.clone()]).await?;
            }
            Ok(())
        }
        Letter::AskOf(of) => {
            let target = Target::Server(of.clone());
            jobs.adapter.emit(target, JOBS, Payload::null()).await
        }
    }
}

async fn send_job(jobs: &Jobs, id: &str, to: Vec<ServerName>) -> Result<(), PublishError> {
    let Some(job) = jobs.job(id).filter(|_| !to.is_empty()) else {
        return Ok(());
    };
    let payload = Payload::new(&News::of(&job, Instant::now()))?;
    jobs.adapter.emit(Target::Servers(to), JOB, payload).await
}
