//! What admin asks of and tells the Kubernetes API: the pods behind the headless Service of Redis (a watch on its EndpointSlices), the
//! size and scale of their StatefulSet, the Lease that one admin holds, Events, and what it costs to end a pod. Off by default. No other
//! part of the product talks to the Kubernetes API.

mod pods;

mod deletion_cost;
mod events;
mod leadership;
mod lease;
mod names;
mod said;
mod scale;
mod size;
mod watch;

mod parts;

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::sync::watch::{Receiver, Sender};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use deletion_cost::DeletionCosts;
pub(crate) use events::{Events, Told};
pub(crate) use leadership::Leadership;
#[cfg(test)]
pub(crate) use leadership::ScriptedLead;
pub(crate) use lease::Lease;
#[cfg(test)]
pub(crate) use lease::Pace;
pub(crate) use names::PodNames;
pub(crate) use parts::{HeldLease, Parts, StatefulSet};
pub(crate) use pods::Pod;
pub(crate) use said::said;
pub(crate) use scale::{ScaleFault, Sized, StatefulSetScale};
pub(crate) use size::{Size, Sizes, odd_start};
pub(crate) use watch::Known;
use watch::Watch;

/// Label of an EndpointSlice with the name of its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Exists in every pod that may use the Kubernetes API.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A watched Service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    service: Arc<str>,
    known: Receiver<Known>,
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

/// The pods behind a headless Service of the client's namespace, as they are now.
pub(crate) async fn look_once(client: Client, service: &str) -> View {
    let slices: Api<EndpointSlice> = Api::default_namespaced(client);
    let labels = ListParams::default().labels(&format!("{SERVICE_LABEL}={service}"));
    let (pods, problem) = match slices.list(&labels).await {
        Ok(list) => (pods::pods(list.items.iter()), None),
        Err(error) => (Vec::new(), Some(said(&error))),
    };
    View {
        service: Arc::from(service),
        pods,
        problem,
    }
}

impl Kubernetes {
    /// Starts watching a headless Service of the client's namespace; the task ends with `shutdown`.
    pub(crate) fn watch(client: Client, service: &str, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let sender = Sender::new(Known::unread());
        let known = sender.subscribe();
        let labels = format!("{SERVICE_LABEL}={service}");
        let watch = Watch::new(Api::default_namespaced(client), labels, sender);
        let task = tokio::spawn(async move {
            shutdown.run_until_cancelled(watch.keep()).await;
        });
        let service = Arc::from(service);
        (Self { service, known }, task)
    }

    /// What is known now.
    pub(crate) fn view(&self) -> View {
        let known = self.known.borrow();
        View {
            service: Arc::clone(&self.service),
            pods: known.pods(),
            problem: known.problem.clone(),
        }
    }

    /// What is known, and each change of it.
    pub(crate) fn known(&self) -> Receiver<Known> {
        self.known.clone()
    }
}

#[cfg(test)]
pub(crate) mod api_server;
#[cfg(test)]
mod events_tests;
#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod watch_tests;
