//! Kubernetes: the pods behind the headless Service of Redis, and the size of their StatefulSet. Changes that come together are one
//! picture, and a pod whose readiness flaps within a moment has not changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout_at};

use super::{Discovery, Found, FoundNode};
use crate::kubernetes::{Known, Kubernetes, PodNames, Size, Sizes};

/// Nothing must have changed for this long.
const QUIET: Duration = Duration::from_millis(500);
/// What keeps changing is returned after this time as it is.
const LONGEST: Duration = Duration::from_secs(3);

/// Finds the pods of a StatefulSet.
#[derive(Debug)]
pub(crate) struct Pods {
    names: PodNames,
    slices: Receiver<Known>,
    size: Receiver<Size>,
    last: Option<Arc<Found>>,
    /// When news is returned. It is kept here because whoever waits may look away at any moment.
    pending: Option<Pending>,
}

/// When what changed is returned.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// If nothing changes any more.
    quiet: Instant,
    longest: Instant,
}

impl Pods {
    pub(crate) fn new(names: PodNames, kubernetes: &Kubernetes, sizes: &Sizes) -> Self {
        Self {
            names,
            slices: kubernetes.known(),
            size: sizes.known(),
            last: None,
            pending: None,
        }
    }

    fn found(&mut self) -> Found {
        let size = self.size.borrow_and_update().clone();
        let slices = self.slices.borrow_and_update();
        let about_pods = slices
            .problem
            .as_ref()
            .map(|problem| format!("the list of its pods: {problem}"));
        let about_size = size.problem.map(|problem| format!("the StatefulSet: {problem}"));
        let readiness = slices.readiness();
        let nodes = readiness.iter().filter_map(|(pod, ready)| {
            let ordinal = self.names.ordinal_of_pod(pod)?;
            let (id, url) = self.names.node(ordinal).ok()?;
            Some(FoundNode {
                ordinal: Some(ordinal),
                id,
                url,
                ready: *ready,
            })
        });
        let mut nodes: Vec<_> = nodes.collect();
        nodes.sort();
        Found {
            nodes,
            replicas: size.replicas,
            problem: about_pods.or(about_size),
        }
    }

    fn is_news(&self, found: &Found) -> bool {
        self.last.as_ref().is_none_or(|last| **last != *found)
    }

    /// Whether something may have changed that was not looked at yet.
    fn is_stirred(&self) -> bool {
        self.slices.has_changed().unwrap_or_default() || self.size.has_changed().unwrap_or_default()
    }

    /// When what is found is to be returned, if at all. It is not, while it is as it was returned last; if `stirred`, something changed.
    fn due(&mut self, is_news: bool, stirred: bool) -> Option<Instant> {
        let now = Instant::now();
        let quiet = now + QUIET;
        match &mut self.pending {
            None if is_news => {
                self.pending = Some(Pending {
                    quiet,
                    longest: now + LONGEST,
                });
            }
            Some(pending) if stirred => pending.quiet = quiet,
            _ => {}
        }
        self.pending.map(|pending| pending.quiet.min(pending.longest))
    }

    /// Something may have changed.
    async fn stirred(&mut self) {
        tokio::select! {
            Ok(()) = self.slices.changed() => {}
            Ok(()) = self.size.changed() => {}
            else => std::future::pending().await,
        }
    }
}

impl Discovery for Pods {
    async fn changed(&mut self) -> Arc<Found> {
        let mut stirred = false;
        loop {
            stirred |= self.is_stirred();
            let found = self.found();
            let is_news = self.is_news(&found);
            let Some(due) = self.due(is_news, stirred) else {
                self.stirred().await;
                continue;
            };
            stirred = timeout_at(due, self.stirred()).await.is_ok();
            if stirred && Instant::now() < due {
                continue;
            }
            // What changes in this moment belongs to the next picture.
            self.pending = None;
            if is_news {
                let found = Arc::new(found);
                self.last = Some(Arc::clone(&found));
                return found;
            }
        }
    }
}
