//! Starts what admin needs of Kubernetes by its settings, and ends it. Outside of Kubernetes everything is there and does nothing.

use std::fmt;

use anyhow::Context;
use kube::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wsmesh_bootstrap::RedisService;

use super::lease::Pace;
use super::{Events, Kubernetes, Leadership, Lease, PodNames, Sizes};
use crate::settings::AdminSettings;

/// Everything of Kubernetes.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The pods behind the Service of Redis.
    pub(crate) pods: Option<Kubernetes>,
    /// The StatefulSet of these pods.
    pub(crate) stateful_set: Option<StatefulSet>,
    pub(crate) leadership: Leadership,
    pub(crate) events: Events,
    tasks: Vec<JoinHandle<()>>,
    /// Ends after everything that acts as the leader.
    pub(crate) lease: Option<HeldLease>,
}

/// A Lease that is held, or wanted.
#[derive(Debug)]
pub(crate) struct HeldLease {
    task: JoinHandle<()>,
    ending: CancellationToken,
}

/// The StatefulSet that decides which Redis nodes there are. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StatefulSet {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) sizes: Sizes,
    pub(crate) names: PodNames,
}

impl fmt::Debug for StatefulSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatefulSet")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Parts {
    /// Nothing of Kubernetes.
    pub(crate) fn nothing() -> Self {
        Self {
            pods: None,
            stateful_set: None,
            leadership: Leadership::nobody(),
            events: Events::nowhere(),
            tasks: Vec::new(),
            lease: None,
        }
    }

    /// Starts what the settings name; `redis` says what the pods are called as nodes. Outside of Kubernetes that is nothing, with a warning
    /// in the log. `me` is this admin's name, and `hears` says whether it hears a Redis node now.
    ///
    /// # Errors
    /// When the service account cannot be used.
    pub(crate) fn start(
        settings: &AdminSettings,
        redis: Option<&RedisService>,
        me: &str,
        hears: impl Fn() -> bool + Send + Sync + 'static,
        ended: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let mut parts = Self::nothing();
        if settings.kubernetes_redis_service.is_none() && settings.kubernetes_lease.is_none() {
            return Ok(parts);
        }
        if !super::is_here() {
            tracing::warn!("not in Kubernetes (no service account): no pods are watched, and no Lease is taken");
            return Ok(parts);
        }
        let client = super::client().context("the Kubernetes API cannot be used with this pod's service account")?;
        if let Some(service) = &settings.kubernetes_redis_service {
            let (pods, task) = Kubernetes::watch(client.clone(), service, ended.clone());
            parts.tasks.push(task);
            if let Some((name, redis)) = settings.kubernetes_redis_statefulset.as_ref().zip(redis) {
                let names = PodNames::new(name, redis);
                parts.follow(client.clone(), name, names, &pods, me, ended);
            }
            parts.pods = Some(pods);
        }
        if let Some(name) = &settings.kubernetes_lease {
            let (lease, leadership) = Lease::new(client, name, me, Pace::default(), hears);
            (parts.leadership, parts.lease) = (leadership, Some(HeldLease::keep(lease)));
        }
        Ok(parts)
    }

    fn follow(
        &mut self,
        client: Client,
        name: &str,
        names: PodNames,
        pods: &Kubernetes,
        me: &str,
        ended: &CancellationToken,
    ) {
        let (sizes, following) = Sizes::follow(client.clone(), name, pods, ended.clone());
        let (events, telling) = Events::about(client.clone(), name, sizes.clone(), me, ended.clone());
        self.tasks.extend([following, telling]);
        self.events = events;
        self.stateful_set = Some(StatefulSet {
            name: name.to_owned(),
            client,
            sizes,
            names,
        });
    }

    /// Waits for the tasks, which end with the token of the start.
    ///
    /// # Errors
    /// When a task panicked.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        for task in self.tasks {
            task.await?;
        }
        Ok(())
    }
}

impl HeldLease {
    /// Takes and renews it from now on.
    pub(crate) fn keep<H: Fn() -> bool + Send + Sync + 'static>(lease: Lease<H>) -> Self {
        let ending = CancellationToken::new();
        let task = tokio::spawn(lease.keep(ending.clone()));
        Self { task, ending }
    }

    /// Gives it back. Whoever acts as the leader has stopped by then.
    ///
    /// # Errors
    /// When its task panicked.
    pub(crate) async fn give_back(self) -> anyhow::Result<()> {
        self.ending.cancel();
        Ok(self.task.await?)
    }
}
