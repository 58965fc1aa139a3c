//! Gathers what the checks judge. Each part has a time limit; what hangs delays only its own line, and is a finding.

mod nodes;
mod pods;
mod visit;

use std::time::Duration;

use jiff::Timestamp;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Bus, Instance, Options, ServerName};

use super::diagnosis::{Finding, Part, Severity};
use super::evidence::{Cluster, Node, Pods};
use super::fixes::Fixes;
use super::{SERVICE, clocks, files, redis, servers, topology};
use crate::config::Config;
use crate::kubernetes;

/// Longest wait for everything that Kubernetes is asked.
const KUBERNETES: Duration = Duration::from_secs(5);

/// Looks at everything, and judges it.
pub(super) async fn examine(config: &Config, interrupted: &CancellationToken) -> Vec<Part> {
    let options = options(config);
    let (urls, unfound) = config.common.known_nodes().await;
    let is_embedded = matches!(config.common.bus, Bus::Memory(_));
    let mut nodes = nodes::look(&urls, &options).await;
    let visited = match is_embedded || nodes.iter().any(nodes::is_usable) {
        true => visit::visit(options, &urls, interrupted).await,
        false => Err("no Redis node can be used".to_owned()),
    };
    let (cluster, facts) = match visited {
        Ok((cluster, facts)) => (Ok(cluster), facts),
        Err(why) => (Err(why), Vec::new()),
    };
    nodes::add_facts(&mut nodes, facts);
    let pods = match kubernetes::is_here() {
        true => Some(pods_of(config, cluster.as_ref().ok()).await),
        false => None,
    };
    let mut parts = judge(config, &nodes, cluster.as_ref(), pods.as_ref());
    if let (Some(why), Some(part)) = (unfound, parts.first_mut()) {
        redis::tell_unfound(part, why);
    }
    parts
}

/// The options of a server that only visits. Its name is its own: in a pod, the name in the settings is that of the admin.
fn options(config: &Config) -> Options {
    let random = Instance::now().0 & 0x00ff_ffff;
    let options = config.common.adapter_options(SERVICE, Registry::new());
    let name = ServerName::new(format!("{SERVICE}-{random:06x}")).unwrap_or_else(|_| options.name.clone());
    Options {
        name,
        visiting: true,
        ..options
    }
}

async fn pods_of(config: &Config, cluster: Option<&Cluster>) -> Result<Pods, String> {
    let client = kubernetes::client().map_err(|error| format!("{error:#}"))?;
    let servers = cluster.into_iter().flat_map(|cluster| &cluster.servers);
    let settings = &config.settings;
    let names = pods::Names {
        service: settings.kubernetes_redis_service.as_deref(),
        stateful_set: settings.kubernetes_redis_statefulset.as_deref(),
        redis: config.common.redis_service.as_ref(),
        replay_window: config.common.replay_window,
        lease: settings.kubernetes_lease.as_deref(),
        writes_costs: settings.pod_deletion_cost,
        reviews_tokens: settings.access.kubernetes_token_review,
    };
    let looking = pods::look(client, names, servers.map(|server| server.name().clone()).collect());
    let pods = tokio::time::timeout(KUBERNETES, looking).await;
    pods.map_err(|_| format!("the Kubernetes API did not answer within {} s", KUBERNETES.as_secs()))
}

/// `pods` is none outside Kubernetes: there is no such part then.
fn judge(
    config: &Config,
    nodes: &[Node],
    cluster: Result<&Cluster, &String>,
    pods: Option<&Result<Pods, String>>,
) -> Vec<Part> {
    let token_file = config.settings.token_file.as_ref();
    let token_file = token_file.map(|file| file.path().display().to_string());
    let port = config.common.listen.map_or(9100, |address| address.port());
    let namespace = pods.and_then(|pods| Some(pods.as_ref().ok()?.namespace.clone()));
    let fixes = Fixes::new(port, token_file.as_deref(), namespace);
    let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    let mut parts = vec![match config.common.bus {
        Bus::Memory(_) => Part::skipped("redis", "the embedded bus has none"),
        _ => redis::check(nodes, now_ms),
    }];
    match cluster {
        Ok(cluster) => parts.extend([
            topology::check(cluster, &redis::unusable(nodes), &fixes),
            servers::check(cluster, &fixes),
            clocks::check(cluster, &fixes),
            files::check(cluster, &fixes),
        ]),
        Err(why) => {
            let others = ["servers", "clocks", "files"].map(|part| Part::skipped(part, why));
            parts.push(unvisited(&parts[0], nodes, why));
            parts.extend(others);
        }
    }
    parts.extend(pods.map(|pods| match pods {
        Ok(pods) => super::pods::check(pods, cluster.ok()),
        Err(why) => Part::unseen(
            "kubernetes",
            why,
            Finding::problem("kubernetes", format!("it could not be asked: {why}"))
                .because("whether pods have time to end, and what admin may do there, is not known")
                .fix("kubectl get --raw /readyz   # and look whether a network policy keeps this pod from the API server"),
        ),
    }));
    parts
}

/// The topology of a cluster that could not be visited. That is a problem by itself, unless the one of its Redis is said already.
fn unvisited(redis: &Part, nodes: &[Node], why: &str) -> Part {
    let is_said = redis
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Problem);
    if is_said && !nodes.iter().any(nodes::is_usable) {
        return Part::skipped("topology", why);
    }
    let finding = Finding::problem("cluster", format!("it could not be visited: {why}"))
        .because("servers, topology and clocks are not known; servers that start with these settings may fail in the same way")
        .fix("run admin doctor again, and look at the time that PING takes: redis-cli -u URL --latency");
    Part::unseen("topology", why, finding)
}

#[cfg(test)]
mod tests;
