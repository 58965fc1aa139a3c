//! What is found in Kubernetes, with an API server in this process and paused time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::kubernetes::api_server::{ApiServer, Door, Fate, LIMIT, Trouble, endpoint, list, modified, slice};
use crate::kubernetes::{Kubernetes, PodNames, Sizes};

struct Cluster {
    server: ApiServer,
    door: Door,
    pods: Pods,
}

/// A slice with these pods; those that are not ready are listed, too.
fn slice_of(name: &str, pods: &[(&str, bool)]) -> Value {
    let endpoints = pods
        .iter()
        .map(|(pod, serving)| endpoint(pod, "10.0.0.1", json!({"ready": true, "serving": serving})));
    slice(name, endpoints.collect())
}

fn start(lists: &[Value], replicas: u32) -> Cluster {
    let server = ApiServer::new();
    server.script(|script| {
        script.lists = lists.iter().cloned().collect();
        script.replicas = Some(replicas);
    });
    let door = server.door();
    let ended = CancellationToken::new();
    let (kubernetes, _) = Kubernetes::watch(door.client(), "wsmesh-redis", ended.clone());
    let (sizes, _) = Sizes::follow(door.client(), "redis", &kubernetes, ended);
    let pods = Pods::new(PodNames::embedded("redis"), &kubernetes, &sizes);
    Cluster { server, door, pods }
}

impl Cluster {
    async fn next(&mut self) -> Arc<Found> {
        timeout(LIMIT, self.pods.changed()).await.expect("it changes in time")
    }

    /// The first picture without a problem.
    async fn whole(&mut self) -> Arc<Found> {
        loop {
            let found = self.next().await;
            if found.problem.is_none() {
                return found;
            }
        }
    }

    async fn nothing_changes_for(&mut self, seconds: u64) {
        let changed = timeout(Duration::from_secs(seconds), self.pods.changed()).await;
        assert!(changed.is_err(), "{changed:?}");
    }

    async fn is_watched(&self) {
        self.server.until(|script| !script.watches.is_empty()).await;
    }
}

fn ready(found: &Found) -> Vec<(u32, bool)> {
    found
        .nodes
        .iter()
        .map(|node| (node.ordinal.expect("an ordinal"), node.ready))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn pods_of_several_slices_and_the_size_are_one_picture_sorted_by_ordinal() {
    let slices = [
        slice_of("a", &[("redis-10", true), ("redis-2", false)]),
        slice_of("b", &[("redis-1", true), ("other-7", true)]),
    ];
    let mut cluster = start(&[list("7", &slices)], 3);
    let found = cluster.whole().await;
    assert_eq!(ready(&found), [(1, true), (2, false), (10, true)]);
    assert_eq!(
        (found.replicas, found.nodes[0].url.as_str()),
        (Some(3), "memory:redis-1")
    );
    cluster.nothing_changes_for(60).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_flaps_within_a_moment_has_not_changed_and_one_that_never_stops_is_seen_all_the_same() {
    let mut cluster = start(&[list("7", &[slice_of("a", &[("redis-0", true)])])], 1);
    cluster.whole().await;
    cluster.is_watched().await;
    for ready in [false, true, false, true] {
        cluster.server.push(modified("8", slice_of("a", &[("redis-0", ready)])));
    }
    cluster.nothing_changes_for(10).await;
    let server = cluster.server.clone();
    let flapping = tokio::spawn(async move {
        for turn in 0..100_u32 {
            server.push(modified(
                "9",
                slice_of("a", &[("redis-0", turn % 2 == 1), ("redis-1", true)]),
            ));
            sleep(Duration::from_millis(200)).await;
        }
    });
    let begun = Instant::now();
    assert_eq!(cluster.next().await.nodes.len(), 2);
    assert!(begun.elapsed() <= Duration::from_secs(5), "{:?}", begun.elapsed());
    flapping.abort();
}

#[tokio::test(start_paused = true)]
async fn the_last_good_picture_is_kept_with_the_problem_until_the_api_server_is_well_again() {
    let mut cluster = start(&[list("7", &[slice_of("a", &[("redis-0", true)])])], 1);
    let whole = cluster.whole().await;
    cluster
        .server
        .script(|script| script.list_failures = [403, 500, 500].into());
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": 410}});
    cluster.is_watched().await;
    cluster.server.push(gone);
    let kept = cluster.next().await;
    assert!(
        kept.problem
            .as_ref()
            .is_some_and(|problem| problem.contains("forbidden")),
        "{kept:?}"
    );
    assert_eq!((&kept.nodes, kept.replicas), (&whole.nodes, whole.replicas));
    assert_eq!(cluster.whole().await, whole, "403, then 500, then healthy");
    cluster.door.set(Trouble::Hangs);
    let kept = cluster.next().await;
    assert_eq!(
        (kept.nodes.len(), kept.replicas, kept.problem.is_some()),
        (1, Some(1), true),
        "no size"
    );
    cluster.door.set(Trouble::None);
    assert_eq!(cluster.whole().await, whole);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_before_both_the_pods_and_the_size_were_read() {
    let server = ApiServer::new();
    server.script(|script| {
        script.lists = [list("7", &[])].into();
        script.fates = [Fate::Fails(500), Fate::IsClosed].into();
    });
    let ended = CancellationToken::new();
    let (kubernetes, _) = Kubernetes::watch(server.door().client(), "wsmesh-redis", ended.clone());
    let (sizes, _) = Sizes::follow(server.door().client(), "redis", &kubernetes, ended);
    let mut pods = Pods::new(PodNames::embedded("redis"), &kubernetes, &sizes);
    let first = timeout(LIMIT, pods.changed()).await.expect("in time");
    assert!(first.problem.is_some() && first.replicas.is_none());
    sleep(Duration::from_secs(30)).await;
    let missing = timeout(LIMIT, pods.changed()).await.expect("in time");
    assert!(
        missing
            .problem
            .as_ref()
            .is_some_and(|problem| problem.contains("StatefulSet")),
        "{missing:?}"
    );
    server.script(|script| script.replicas = Some(2));
    loop {
        let found = timeout(LIMIT, pods.changed()).await.expect("in time");
        if found.problem.is_none() {
            assert_eq!(
                (found.nodes.len(), found.replicas),
                (0, Some(2)),
                "an empty list is what it is"
            );
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_picture_whose_reader_went_away_in_the_middle_is_not_lost() {
    let mut cluster = start(&[list("7", &[slice_of("a", &[("redis-0", true)])])], 1);
    cluster.whole().await;
    cluster.is_watched().await;
    cluster
        .server
        .push(modified("8", slice_of("a", &[("redis-0", true), ("redis-1", true)])));
    let dropped = timeout(Duration::from_millis(100), cluster.pods.changed()).await;
    assert!(dropped.is_err(), "it is not quiet yet");
    assert_eq!(cluster.next().await.nodes.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_looks_away_every_moment_sees_a_picture_that_never_stops_changing() {
    let mut cluster = start(&[list("7", &[slice_of("a", &[("redis-0", true)])])], 1);
    cluster.whole().await;
    cluster.is_watched().await;
    let server = cluster.server.clone();
    let flapping = tokio::spawn(async move {
        for turn in 0..100_u32 {
            server.push(modified(
                "9",
                slice_of("a", &[("redis-0", turn % 2 == 1), ("redis-1", true)]),
            ));
            sleep(Duration::from_millis(200)).await;
        }
    });
    let begun = Instant::now();
    let found = loop {
        if let Ok(found) = timeout(Duration::from_millis(350), cluster.pods.changed()).await {
            break found;
        }
        assert!(begun.elapsed() <= Duration::from_secs(5), "{:?}", begun.elapsed());
    };
    assert_eq!(found.nodes.len(), 2);
    flapping.abort();
}
