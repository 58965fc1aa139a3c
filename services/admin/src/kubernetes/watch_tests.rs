//! The watch, tested with an API server on loopback that speaks the watch protocol and follows a script.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api_server::{self, ApiServer, Door, Fate, Trouble, endpoint, modified, slice};
use super::tests::{pod, view_with};
use super::*;

/// An API server with these lists and watches, and an admin's view of it.
async fn watched(
    lists: impl IntoIterator<Item = Value>,
    fates: impl IntoIterator<Item = Fate>,
) -> (ApiServer, Kubernetes, JoinHandle<()>) {
    let (server, door) = scripted(lists, fates);
    let (kubernetes, task) = through(&door).await;
    (server, kubernetes, task)
}

fn scripted(lists: impl IntoIterator<Item = Value>, fates: impl IntoIterator<Item = Fate>) -> (ApiServer, Door) {
    let server = ApiServer::new();
    server.script(|script| {
        script.lists = lists.into_iter().collect();
        script.fates = fates.into_iter().collect();
    });
    let door = server.door();
    (server, door)
}

async fn through(door: &Door) -> (Kubernetes, JoinHandle<()>) {
    Kubernetes::watch(door.http_client().await, "wsmesh-redis", CancellationToken::new())
}

fn versions(server: &ApiServer) -> Vec<String> {
    server.script(|script| script.watches.iter().map(|(_, version)| version.clone()).collect())
}

async fn watched_times(server: &ApiServer, times: usize) -> Vec<Instant> {
    server.until(|script| script.watches.len() >= times).await;
    server.script(|script| script.watches.iter().map(|(at, _)| *at).collect())
}

/// A list of this version, with one pod.
fn list(version: &str, pod: &str, ip: &str) -> Value {
    api_server::list(
        version,
        &[slice(
            "wsmesh-redis-x",
            json!([endpoint(pod, ip, json!({"ready": true}))]),
        )],
    )
}

fn gone() -> Value {
    json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410}})
}

fn says(view: &View, text: &str) -> bool {
    view.problem.as_ref().is_some_and(|problem| problem.contains(text))
}

#[tokio::test]
async fn the_problem_of_a_watch_that_could_not_start_is_over_once_a_watch_works() {
    let (server, kubernetes, _task) = watched([list("7", "redis-0", "10.0.0.1")], [Fate::Fails(500)]).await;
    view_with(&kubernetes, |view| says(view, "etcd is away")).await;
    let view = view_with(&kubernetes, |view| view.problem.is_none()).await;
    assert_eq!(view.pods, [pod("redis-0", "10.0.0.1", true)]);
    assert_eq!(
        versions(&server),
        ["7", "7"],
        "nothing had happened, so nothing was listed again"
    );
}

#[tokio::test]
async fn a_watch_that_is_closed_at_once_is_restarted_after_a_pause() {
    let fates = [Fate::IsClosed, Fate::IsClosed];
    let (server, kubernetes, _task) = watched([list("7", "redis-0", "10.0.0.1")], fates).await;
    let watches = watched_times(&server, 3).await;
    let pauses = [1, 2].map(|number| watches[number].duration_since(watches[number - 1]));
    assert!(pauses[0] >= Duration::from_millis(490), "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(990), "{pauses:?}");
    view_with(&kubernetes, |view| view.problem.is_none()).await;
}

#[tokio::test]
async fn changes_are_followed_and_a_version_that_is_gone_is_listed_again() {
    let change = modified(
        "8",
        slice(
            "wsmesh-redis-x",
            json!([endpoint("redis-0", "10.0.0.1", json!({"ready": false}))]),
        ),
    );
    let lists = [list("7", "redis-0", "10.0.0.1"), list("20", "redis-1", "10.0.0.2")];
    let (_server, kubernetes, _task) = watched(lists.clone(), [Fate::Tells(vec![change])]).await;
    let changed = view_with(&kubernetes, |view| view.pods == [pod("redis-0", "10.0.0.1", false)]).await;
    assert_eq!(changed.problem, None);

    // In the stream, and instead of one.
    for fate in [Fate::Tells(vec![gone()]), Fate::Fails(410)] {
        let (server, kubernetes, _task) = watched(lists.clone(), [fate]).await;
        let view = view_with(&kubernetes, |view| view.pods == [pod("redis-1", "10.0.0.2", true)]).await;
        assert_eq!(view.problem, None);
        watched_times(&server, 2).await;
        assert_eq!(versions(&server), ["7", "20"]);
    }
}

#[tokio::test]
async fn pods_of_several_slices_are_one_list_and_a_slice_that_is_deleted_takes_only_its_own_away() {
    let of = |name: &str, pod: &str, ip: &str| slice(name, json!([endpoint(pod, ip, json!({"ready": true}))]));
    let (one, two) = (of("a", "redis-0", "10.0.0.1"), of("b", "redis-1", "10.0.0.2"));
    let (server, kubernetes, _task) = watched([api_server::list("7", &[one, two.clone()])], []).await;
    let both = [pod("redis-0", "10.0.0.1", true), pod("redis-1", "10.0.0.2", true)];
    view_with(&kubernetes, |view| view.pods == both && view.problem.is_none()).await;
    watched_times(&server, 1).await;
    // Kubernetes moves a pod to another slice: for a moment it is in both.
    server.push(modified("8", of("c", "redis-1", "10.0.0.2")));
    server.push(json!({"type": "DELETED", "object": two}));
    server.push(modified("9", of("a", "redis-0", "10.0.0.9")));
    let moved = [pod("redis-0", "10.0.0.9", true), pod("redis-1", "10.0.0.2", true)];
    view_with(&kubernetes, |view| view.pods == moved).await;
}

#[tokio::test]
async fn the_last_good_list_is_kept_while_the_api_server_rejects_and_fails() {
    let lists = [list("7", "redis-0", "10.0.0.1"), list("20", "redis-1", "10.0.0.2")];
    let (server, door) = scripted(lists, [Fate::Tells(vec![gone()])]);
    let (kubernetes, _task) = through(&door).await;
    watched_times(&server, 1).await;
    for (code, text) in [(403, "forbidden"), (500, "etcd is away")] {
        door.set(Trouble::Refuses(code));
        let view = view_with(&kubernetes, |view| says(view, text)).await;
        assert_eq!(view.pods, [pod("redis-0", "10.0.0.1", true)], "{code}");
    }
    door.set(Trouble::None);
    let view = view_with(&kubernetes, |view| view.problem.is_none()).await;
    assert_eq!(view.pods, [pod("redis-1", "10.0.0.2", true)]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_sends_nothing_and_never_ends_is_noticed() {
    let (server, door) = scripted([list("7", "redis-0", "10.0.0.1")], []);
    let (kubernetes, _task) = Kubernetes::watch(door.client(), "wsmesh-redis", CancellationToken::new());
    let watches = watched_times_paused(&server, 2).await;
    let lasted = watches[1].duration_since(watches[0]);
    assert!(
        lasted >= Duration::from_secs(290) && lasted <= Duration::from_secs(330),
        "{lasted:?}"
    );
    assert_eq!(kubernetes.view().pods, [pod("redis-0", "10.0.0.1", true)]);
}

async fn watched_times_paused(server: &ApiServer, times: usize) -> Vec<Instant> {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    while server.script(|script| script.watches.len() < times) {
        every.tick().await;
    }
    server.script(|script| script.watches.iter().map(|(at, _)| *at).collect())
}
