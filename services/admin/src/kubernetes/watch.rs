//! Keeps the EndpointSlices of a Service up to date: lists them, watches for changes since then, and lists them again when the
//! API server does not have the changes any more. While the slices may be out of date, the reason is kept with them.
//!
//! The watcher of kube-runtime is not used: it does not say when a watch works again after a failure, and it retries at once when
//! a watch is closed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::TryStreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Status;
use kube::{Api, ResourceExt};
use tokio::sync::watch::Sender;
use tokio::time::timeout;

use super::pods::{self, Pod};
use super::said::{said, status_said};

/// Longest wait for a list, or for a watch to start.
const ANSWER: Duration = Duration::from_secs(30);
/// The API server ends a watch after this time, and a new one is started. So a dead watch is noticed.
const WATCH: Duration = Duration::from_secs(290);
/// How much later the end of a watch may come.
const LATE: Duration = Duration::from_secs(5);
/// A watch that lasted this long worked.
const WORKED_AFTER: Duration = Duration::from_secs(10);
/// Pauses before trying again, at least: the first, and the longest. Each is twice the one before. Up to as much again is added by
/// chance, so that several admins do not retry together.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// HTTP's "Gone": the API server does not have the changes since the requested version any more.
const GONE: u16 = 410;

/// The slices as they are known now.
#[derive(Debug, Default)]
pub(crate) struct Known {
    slices: BTreeMap<String, EndpointSlice>,
    /// Why they may be out of date.
    pub(crate) problem: Option<String>,
}

impl Known {
    /// Nothing yet.
    pub(super) fn unread() -> Self {
        Self {
            problem: Some("the list has not been read yet".to_owned()),
            ..Self::default()
        }
    }

    pub(super) fn pods(&self) -> Vec<Pod> {
        pods::pods(self.slices.values())
    }

    /// Whether each pod is ready, by name.
    pub(crate) fn readiness(&self) -> BTreeMap<String, bool> {
        pods::readiness(self.slices.values())
    }
}

/// How a watch ended.
enum Outcome {
    /// The API server closed it.
    Closed,
    Failed(String),
    /// The API server does not have the changes since then any more: list again.
    Gone,
}

/// A watch of the slices with one label.
pub(super) struct Watch {
    slices: Api<EndpointSlice>,
    labels: String,
    known: Sender<Known>,
    pauses: ExponentialBackoff,
}

fn pauses() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(PAUSES.0)
        .with_max_delay(PAUSES.1)
        .with_factor(2.0);
    pauses.with_jitter().without_max_times().build()
}

impl Watch {
    pub(super) fn new(slices: Api<EndpointSlice>, labels: String, known: Sender<Known>) -> Self {
        Self {
            slices,
            labels,
            known,
            pauses: pauses(),
        }
    }

    /// Never returns.
    pub(super) async fn keep(mut self) {
        loop {
            let version = self.list().await;
            self.follow(version).await;
        }
    }

    /// Lists the slices, retrying until that works. Returns the version of the list.
    async fn list(&mut self) -> String {
        loop {
            let params = ListParams::default().labels(&self.labels);
            let problem = match timeout(ANSWER, self.slices.list(&params)).await {
                Ok(Ok(list)) => match list.metadata.resource_version.filter(|version| !version.is_empty()) {
                    Some(version) => {
                        let slices = list.items.into_iter().map(|slice| (slice.name_any(), slice)).collect();
                        self.known.send_replace(Known { slices, problem: None });
                        return version;
                    }
                    None => "the list has no resourceVersion".to_owned(),
                },
                Ok(Err(error)) => said(&error),
                Err(_) => unanswered(),
            };
            self.fails(problem);
            self.pause().await;
        }
    }

    /// Watches for changes since this version, again and again, until the API server does not have them any more.
    async fn follow(&mut self, mut version: String) {
        loop {
            let begun = Instant::now();
            let outcome = self.watch(&mut version).await;
            let lasted = begun.elapsed();
            if lasted >= WORKED_AFTER {
                self.pauses = pauses();
            }
            match &outcome {
                Outcome::Failed(problem) => self.fails(problem.clone()),
                // If a watch lasted, the API server's time limit closed it, which is not a failure.
                Outcome::Closed if lasted < WORKED_AFTER => {
                    self.fails(format!("the watch was closed after {} ms", lasted.as_millis()));
                }
                Outcome::Closed | Outcome::Gone => {}
            }
            self.pause().await;
            if matches!(outcome, Outcome::Gone) {
                return;
            }
        }
    }

    /// One watch, from its beginning to its end.
    async fn watch(&self, version: &mut String) -> Outcome {
        let seconds = u32::try_from(WATCH.as_secs()).unwrap_or(u32::MAX);
        let params = WatchParams::default().labels(&self.labels).timeout(seconds);
        let events = match timeout(ANSWER, self.slices.watch(&params, version)).await {
            Ok(Ok(events)) => events,
            Ok(Err(kube::Error::Api(status))) => return refused(&status),
            Ok(Err(error)) => return Outcome::Failed(said(&error)),
            Err(_) => return Outcome::Failed(unanswered()),
        };
        // The watch works (again): it sends all changes since the version.
        self.known.send_if_modified(|known| known.problem.take().is_some());
        let mut events = std::pin::pin!(events);
        let reading = async {
            loop {
                match events.try_next().await {
                    Ok(Some(event)) => match self.note(event, version) {
                        Ok(()) => {}
                        Err(outcome) => return outcome,
                    },
                    Ok(None) => return Outcome::Closed,
                    Err(error) => return Outcome::Failed(said(&error)),
                }
            }
        };
        let late = || Outcome::Failed("the watch sent nothing and did not end at its time limit".to_owned());
        timeout(WATCH + LATE, reading).await.unwrap_or_else(|_| late())
    }

    fn note(&self, event: WatchEvent<EndpointSlice>, version: &mut String) -> Result<(), Outcome> {
        let reached = match event {
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) => {
                let reached = slice.resource_version();
                self.known
                    .send_modify(|known| drop(known.slices.insert(slice.name_any(), slice)));
                reached
            }
            WatchEvent::Deleted(slice) => {
                self.known
                    .send_modify(|known| drop(known.slices.remove(&slice.name_any())));
                slice.resource_version()
            }
            WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => return Err(refused(&status)),
        };
        if let Some(reached) = reached.filter(|reached| !reached.is_empty()) {
            *version = reached;
        }
        Ok(())
    }

    fn fails(&self, problem: String) {
        tracing::warn!(
            labels = self.labels,
            problem,
            "watching the Redis pods failed; trying again: check admin's rights (admin doctor)"
        );
        self.known.send_modify(|known| known.problem = Some(problem));
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.pauses.next().unwrap_or(PAUSES.1)).await;
    }
}

fn refused(status: &Status) -> Outcome {
    if status.code == GONE {
        return Outcome::Gone;
    }
    Outcome::Failed(status_said(status))
}

fn unanswered() -> String {
    format!("the Kubernetes API did not answer within {} s", ANSWER.as_secs())
}
