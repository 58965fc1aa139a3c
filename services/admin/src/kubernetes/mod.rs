//! The Redis nodes as Kubernetes sees them: the pods behind their headless Service, kept up to date by a watch on its
//! EndpointSlices. Off by default, and reads only. No other part of the product talks to the Kubernetes API.

mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, Client};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use watch::{Known, Watch};

/// Label of an EndpointSlice with the name of its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Exists in every pod that may use the Kubernetes API.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A watched Service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    service: Arc<str>,
    known: Arc<Mutex<Known>>,
}

/// A pod that may be a Redis node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(crate) struct Pod {
    pub(crate) pod: String,
    pub(crate) ip: String,
    pub(crate) ready: bool,
}

/// The pods as they are known at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) service: Arc<str>,
    /// By name.
    pub(crate) pods: Vec<Pod>,
    /// Why the pods may be out of date.
    pub(crate) problem: Option<String>,
}

/// Whether this process runs in a pod with a service account.
pub(crate) fn is_here() -> bool {
    Path::new(SERVICE_ACCOUNT).exists()
}

/// A client with the pod's service account, for its own namespace.
///
/// # Errors
/// When the service account cannot be read or TLS cannot be set up.
pub(crate) fn client() -> anyhow::Result<Client> {
    Ok(Client::try_from(kube::Config::incluster()?)?)
}

impl Kubernetes {
    /// Starts watching a headless Service of the client's namespace; the task ends with `shutdown`.
    pub(crate) fn watch(client: Client, service: &str, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let known = Arc::new(Mutex::new(Known {
            problem: Some("the list has not been read yet".to_owned()),
            ..Known::default()
        }));
        let labels = format!("{SERVICE_LABEL}={service}");
        let watch = Watch::new(Api::default_namespaced(client), labels, Arc::clone(&known));
        let task = tokio::spawn(async move {
            shutdown.run_until_cancelled(watch.keep()).await;
        });
        let service = Arc::from(service);
        (Self { service, known }, task)
    }

    /// What is known now.
    pub(crate) fn view(&self) -> View {
        let known = self.known.lock();
        View {
            service: Arc::clone(&self.service),
            pods: pods(known.slices.values()),
            problem: known.problem.clone(),
        }
    }
}

/// The pods in the EndpointSlices, by name. An endpoint that does not say whether it is ready is ready, as the API specifies.
fn pods<'a>(slices: impl Iterator<Item = &'a EndpointSlice>) -> Vec<Pod> {
    let mut pods = BTreeMap::new();
    for endpoint in slices.flat_map(|slice| slice.endpoints.iter().flatten()) {
        let Some(name) = endpoint.target_ref.as_ref().and_then(|target| target.name.as_ref()) else {
            continue;
        };
        let ready = endpoint
            .conditions
            .as_ref()
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true);
        for ip in &endpoint.addresses {
            pods.insert((name.clone(), ip.clone()), ready);
        }
    }
    pods.into_iter()
        .map(|((pod, ip), ready)| Pod { pod, ip, ready })
        .collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod watch_tests;
