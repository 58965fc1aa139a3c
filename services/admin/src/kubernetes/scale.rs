//! The `scale` subresource of the one StatefulSet of Redis pods: reads it, and changes it only if nobody else did since then. Every
//! request has a time limit, and nothing is tried again here.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::autoscaling::v1::Scale;
use kube::api::{Patch, PatchParams};
use kube::core::Status;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::timeout;

use super::said::status_said;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The StatefulSet whose replicas are changed. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct StatefulSetScale {
    sets: Api<StatefulSet>,
    name: Arc<str>,
    answer: Duration,
}

/// How many replicas it shall have now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sized {
    pub(crate) replicas: u32,
    /// Of the StatefulSet: another one after every change.
    pub(crate) version: String,
}

/// Why it could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScaleFault {
    /// Somebody changed it since it was read: read it again.
    #[error("the StatefulSet was changed at the same moment; try again")]
    Changed,
    /// Trying again does not help before somebody mends it.
    #[error("{0}")]
    Refused(String),
    /// There is no such StatefulSet.
    #[error("{0}")]
    Absent(String),
    /// It did not answer, or has trouble of its own: it may work later.
    #[error("{0}")]
    Unavailable(String),
}

impl StatefulSetScale {
    /// A StatefulSet of the client's namespace.
    pub(crate) fn new(client: Client, name: &str) -> Self {
        Self {
            sets: Api::default_namespaced(client),
            name: Arc::from(name),
            answer: ANSWER,
        }
    }

    /// The same, with another time limit.
    #[cfg(test)]
    pub(crate) fn answered_within(self, answer: Duration) -> Self {
        Self { answer, ..self }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it is now.
    ///
    /// # Errors
    /// When the API server refuses that, or cannot answer now.
    pub(crate) async fn read(&self) -> Result<Sized, ScaleFault> {
        self.sized(self.sets.get_scale(&self.name)).await
    }

    /// Gives it so many replicas, if it is still as it was read.
    ///
    /// # Errors
    /// When it is not, or as for [`StatefulSetScale::read`]. If there was no answer, the change may have been made all the same.
    pub(crate) async fn set(&self, replicas: u32, read: &Sized) -> Result<Sized, ScaleFault> {
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": read.version},
            "spec": {"replicas": replicas},
        }));
        let params = PatchParams::default();
        self.sized(self.sets.patch_scale(&self.name, &params, &patch)).await
    }

    async fn sized(&self, answer: impl Future<Output = kube::Result<Scale>>) -> Result<Sized, ScaleFault> {
        match timeout(self.answer, answer).await {
            Ok(Ok(scale)) => Ok(Sized {
                // Where nothing is said, there are none: of a StatefulSet, Kubernetes always says it.
                replicas: scale
                    .spec
                    .and_then(|spec| u32::try_from(spec.replicas?).ok())
                    .unwrap_or_default(),
                version: scale.metadata.resource_version.unwrap_or_default(),
            }),
            Ok(Err(kube::Error::Api(status))) => Err(self.fault(&status)),
            Ok(Err(error)) => Err(ScaleFault::Unavailable(format!(
                "the Kubernetes API cannot be used: {error}"
            ))),
            Err(_) => Err(ScaleFault::Unavailable(format!(
                "the Kubernetes API did not answer within {} s",
                self.answer.as_secs_f64()
            ))),
        }
    }

    fn fault(&self, status: &Status) -> ScaleFault {
        let name = &self.name;
        let said = status_said(status);
        match status.code {
            409 => ScaleFault::Changed,
            403 => ScaleFault::Refused(format!(
                "admin's service account may not scale StatefulSet {name}: {said}. Its Role needs get and patch of statefulsets/scale for \
                 {name}: the chart makes it, and admin doctor says what is missing"
            )),
            404 => ScaleFault::Absent(format!(
                "there is no StatefulSet {name}: {said}. Name the one of the Redis pods with --kubernetes-redis-statefulset"
            )),
            // The token of a service account is replaced now and then.
            401 | 408 | 429 | 500.. => ScaleFault::Unavailable(format!(
                "the Kubernetes API has trouble with StatefulSet {name}: {said}"
            )),
            _ => ScaleFault::Refused(format!(
                "the Kubernetes API refuses to scale StatefulSet {name}: {said}"
            )),
        }
    }
}
