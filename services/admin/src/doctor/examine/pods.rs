//! Asks Kubernetes: the pods of the servers and of Redis, the StatefulSet, and what the service account of admin may do. Reads only.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use wsmesh_adapter::ServerName;
use wsmesh_bootstrap::RedisService;

use super::super::evidence::{GraceTimes, PodGrace, Pods, RedisSet, Right};
use crate::kubernetes::{self, PodNames, StatefulSetScale};

/// How many pods are asked for at once.
const AT_ONCE: usize = 8;
/// Most pods that are looked at: those of one Deployment are equal.
const MOST_PODS: usize = 64;

/// What admin does in Kubernetes.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    verb: &'static str,
    resource: &'static str,
    group: &'static str,
    /// The one object of that kind; none: all of them.
    name: Option<&'a str>,
    /// The role of the whole cluster that grants it: it is about nothing in the namespace then.
    cluster_role: Option<&'static str>,
    purpose: &'static str,
}

/// What only some admins do, by the names in their settings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names<'a> {
    pub(super) service: Option<&'a str>,
    pub(super) stateful_set: Option<&'a str>,
    /// What its pods are called as nodes.
    pub(super) redis: Option<&'a RedisService>,
    /// How long its nodes take to leave.
    pub(super) replay_window: Duration,
    pub(super) lease: Option<&'a str>,
    /// Whether it writes what it costs to end a pod.
    pub(super) writes_costs: bool,
    /// Whether it asks whose tokens its callers have.
    pub(super) reviews_tokens: bool,
}

const PODS: &str = "to show the Redis pods";
const FOLLOWING: &str = "so that Redis pods become nodes, and leave";
const LEADING: &str = "so that one admin leads";
const TELLING: &str = "to write Events about what it did";
const SCALING: &str = "so that POST /api/v1/nodes/scale works";
const COSTS: &str = "so that the emptiest pod goes first";
const CALLERS: &str = "so that callers may send tokens of Kubernetes";
const LOOKING: &str = "so that the doctor can compare grace periods with the time that servers take to end";

impl<'a> Names<'a> {
    fn wanted(self) -> Vec<Wanted<'a>> {
        let all = |resource, group, purpose| {
            move |verb| Wanted {
                verb,
                resource,
                group,
                name: None,
                cluster_role: None,
                purpose,
            }
        };
        let mut wanted = Vec::new();
        if self.service.is_some() {
            wanted.extend(["list", "watch"].map(all("endpointslices", "discovery.k8s.io", PODS)));
        }
        if let name @ Some(_) = self.stateful_set {
            let get = all("statefulsets", "apps", FOLLOWING)("get");
            wanted.push(Wanted { name, ..get });
            let scale = ["get", "patch"].map(all("statefulsets/scale", "apps", SCALING));
            wanted.extend(scale.map(|of_one| Wanted { name, ..of_one }));
            wanted.extend(["create", "patch"].map(all("events", "events.k8s.io", TELLING)));
        }
        if let name @ Some(_) = self.lease {
            let lease = all("leases", "coordination.k8s.io", LEADING);
            wanted.push(lease("create"));
            wanted.extend(["get", "update"].map(lease).map(|of_one| Wanted { name, ..of_one }));
        }
        if self.writes_costs {
            wanted.push(all("pods", "", COSTS)("patch"));
        }
        if self.reviews_tokens {
            wanted.push(Wanted {
                cluster_role: Some("system:auth-delegator"),
                ..all("tokenreviews", "authentication.k8s.io", CALLERS)("create")
            });
        }
        wanted.push(all("pods", "", LOOKING)("get"));
        wanted
    }
}

/// Everything at once.
pub(super) async fn look(client: Client, names: Names<'_>, servers: Vec<ServerName>) -> Pods {
    let namespace = client.default_namespace().to_owned();
    let wanted = names.wanted();
    let rights = stream::iter(wanted.iter().map(|right| ask_right(&client, &namespace, *right))).buffered(AT_ONCE);
    let servers = stream::iter(servers.into_iter().take(MOST_PODS)).map(|server| grace(&client, server));
    let stateful_set = async {
        match names.stateful_set.zip(names.redis) {
            Some((name, redis)) => {
                Some(stateful_set(&client, name, PodNames::new(name, redis), names.replay_window).await)
            }
            None => None,
        }
    };
    let redis = async {
        match names.service {
            Some(service) => Some(kubernetes::look_once(client.clone(), service).await),
            None => None,
        }
    };
    let (account, rights, servers, redis, stateful_set) = tokio::join!(
        account(&client),
        rights.collect::<Vec<_>>(),
        servers.buffered(AT_ONCE).collect::<Vec<_>>(),
        redis,
        stateful_set
    );
    Pods {
        namespace,
        account,
        redis,
        stateful_set,
        servers,
        rights,
    }
}

/// How many pods it shall have, and how long its first one may take to end: all are equal.
async fn stateful_set(client: &Client, name: &str, names: PodNames, replay_window: Duration) -> RedisSet {
    let scale = StatefulSetScale::new(client.clone(), name);
    let (first, replicas) = (names.pod(0), scale.read());
    let (replicas, times) = tokio::join!(replicas, times_of(client, &first));
    RedisSet {
        name: name.to_owned(),
        replicas: replicas.map(|sized| sized.replicas).map_err(|fault| fault.to_string()),
        times,
        names,
        replay_window,
    }
}

/// The name of the service account, as the API server knows it.
async fn account(client: &Client) -> String {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    let user = review.ok().and_then(|review| review.status?.user_info?.username);
    let name = user.as_deref().and_then(|user| user.rsplit(':').next());
    name.unwrap_or("SERVICE_ACCOUNT").to_owned()
}

async fn ask_right(
    client: &Client,
    namespace: &str,
    Wanted {
        verb,
        resource,
        group,
        name,
        cluster_role,
        purpose,
    }: Wanted<'_>,
) -> Right {
    let (kind, part) = resource.split_once('/').unwrap_or((resource, ""));
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: cluster_role.is_none().then(|| namespace.to_owned()),
                verb: Some(verb.to_owned()),
                resource: Some(kind.to_owned()),
                subresource: (!part.is_empty()).then(|| part.to_owned()),
                group: Some(group.to_owned()),
                name: name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await;
    let is_allowed = match answer {
        Ok(SelfSubjectAccessReview {
            status: Some(status), ..
        }) => Ok(status.allowed),
        Ok(_) => Err("the answer has no status".to_owned()),
        Err(error) => Err(kubernetes::said(&error)),
    };
    Right {
        verb,
        resource,
        group,
        name: name.map(str::to_owned),
        cluster_role,
        purpose,
        is_allowed,
    }
}

/// The times of the pod with the server's name: in Kubernetes, a server has the name of its pod.
async fn grace(client: &Client, server: ServerName) -> PodGrace {
    let times = times_of(client, server.as_str()).await;
    PodGrace { server, times }
}

async fn times_of(client: &Client, pod: &str) -> Result<GraceTimes, String> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    match pods.get(pod).await {
        Ok(Pod { spec: Some(spec), .. }) => Ok(times(&spec)),
        Ok(_) => Err("the pod has no spec".to_owned()),
        Err(error) => Err(kubernetes::said(&error)),
    }
}

fn times(spec: &PodSpec) -> GraceTimes {
    // What Kubernetes fills in where nothing is said.
    const DEFAULT_SECONDS: i64 = 30;
    let sleep = spec.containers.iter().filter_map(|container| {
        let before = container.lifecycle.as_ref()?.pre_stop.as_ref()?;
        Some(before.sleep.as_ref()?.seconds)
    });
    let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or_default();
    GraceTimes {
        grace_seconds: seconds(spec.termination_grace_period_seconds.unwrap_or(DEFAULT_SECONDS)),
        sleep_seconds: seconds(sleep.max().unwrap_or_default()),
    }
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
