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
}

impl Pods {
    pub(crate) fn new(names: PodNames, kubernetes: &Kubernetes, sizes: &Sizes) -> Self {
        Self {
            names,
            slices: kubernetes.known(),
            size: sizes.known(),
            last: None,
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
        loop {
            let mut found = self.found();
            if self.is_news(&found) {
                let longest = Instant::now() + LONGEST;
                while timeout_at(longest.min(Instant::now() + QUIET), self.stirred())
                    .await
                    .is_ok()
                {
                    found = self.found();
                }
            }
            if self.is_news(&found) {
                let found = Arc::new(found);
                self.last = Some(Arc::clone(&found));
                return found;
            }
            self.stirred().await;
        }
    }
}
