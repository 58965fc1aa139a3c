//! Events and the size of the StatefulSet, with an API server in this process and paused time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::NodeId;

use super::api_server::{ApiServer, Door, LIMIT, Trouble, list};
use super::{Events, Kubernetes, Sizes, Told};

struct Telling {
    server: ApiServer,
    door: Door,
    sizes: Sizes,
    events: Events,
}

fn start() -> Telling {
    let server = ApiServer::new();
    server.script(|script| {
        script.lists = [list("7", &[])].into();
        script.replicas = Some(3);
    });
    let door = server.door();
    let ended = CancellationToken::new();
    let (pods, _) = Kubernetes::watch(door.client(), "wsmesh-redis", ended.clone());
    let (sizes, _) = Sizes::follow(door.client(), "wsmesh-redis", &pods, ended.clone());
    let (events, _) = Events::about(door.client(), "wsmesh-redis", sizes.clone(), "admin-1", ended);
    Telling {
        server,
        door,
        sizes,
        events,
    }
}

async fn replicas(sizes: &Sizes, wanted: Option<u32>) {
    let mut known = sizes.known();
    let is_there = known.wait_for(|size| size.replicas == wanted && size.problem.is_none());
    timeout(LIMIT, is_there).await.expect("in time").expect("it runs");
}

fn node() -> NodeId {
    NodeId::new("redis-3").expect("an id")
}

fn texts(server: &ApiServer) -> Vec<Value> {
    let events = server.script(|script| script.events.clone());
    events
        .into_iter()
        .map(|event| json!([event["reason"], event["type"], event["series"]["count"]]))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn events_are_about_the_stateful_set_and_repeats_of_one_text_are_counted() {
    let told = start();
    replicas(&told.sizes, Some(3)).await;
    for event in [
        Told::joined(&node()),
        Told::refused(&node(), "wrong password"),
        Told::refused(&node(), "wrong password"),
        Told::refused(&node(), "too old"),
        Told::leads("admin-1"),
    ] {
        told.events.tell(event);
    }
    told.server.until(|script| script.events.len() == 5).await;
    let expected = [
        json!(["NodeJoined", "Normal", null]),
        json!(["NodeRefused", "Warning", null]),
        json!(["NodeRefused", "Warning", 2]),
        json!(["NodeRefused", "Warning", null]),
        json!(["LeaderElected", "Normal", null]),
    ];
    assert_eq!(texts(&told.server), expected);
    let events = told.server.script(|script| script.events.clone());
    assert!(
        events[3]["note"].as_str().is_some_and(|note| note.contains("too old")),
        "{}",
        events[3]
    );
    let about = &events[0]["regarding"];
    assert_eq!(
        (&about["kind"], &about["name"], &about["namespace"], &about["uid"]),
        (
            &json!("StatefulSet"),
            &json!("wsmesh-redis"),
            &json!("game"),
            &json!("set-1")
        )
    );
    assert_eq!(events[0]["reportingInstance"], "admin-1");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_or_rejects_events_delays_nobody_and_later_ones_are_written() {
    for trouble in [Trouble::Hangs, Trouble::Refuses(403)] {
        let told = start();
        replicas(&told.sizes, Some(3)).await;
        told.door.set(trouble);
        for _ in 0..1000 {
            told.events.tell(Told::joined(&node()));
        }
        // Longer than the time limits of all that wait.
        sleep(Duration::from_secs(400)).await;
        assert!(texts(&told.server).is_empty());
        told.door.set(Trouble::None);
        told.events.tell(Told::left(&node()));
        told.server.until(|script| script.events.len() == 1).await;
        assert_eq!(texts(&told.server)[0][0], "NodeLeft");
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_too_long_is_cut_between_two_letters() {
    let told = start();
    replicas(&told.sizes, Some(3)).await;
    told.events.tell(Told::refused(&node(), &"ä".repeat(2000)));
    told.server.until(|script| script.events.len() == 1).await;
    let note = told.server.script(|script| script.events[0]["note"].clone());
    let bytes = note.as_str().expect("a text").len();
    assert!((990..=1000).contains(&bytes), "{bytes}");
}

#[tokio::test(start_paused = true)]
async fn the_last_good_size_is_kept_while_the_api_server_does_not_answer() {
    let Telling {
        server, door, sizes, ..
    } = start();
    replicas(&sizes, Some(3)).await;
    for (trouble, text) in [
        (Trouble::Refuses(403), "it is forbidden (403 Forbidden)"),
        (Trouble::Hangs, "the Kubernetes API did not answer within 5 s"),
        (Trouble::Refuses(404), "NotFound (404 NotFound)"),
    ] {
        door.set(trouble);
        let mut known = sizes.known();
        let told = known.wait_for(|size| size.problem.as_deref() == Some(text));
        let size = timeout(LIMIT, told).await.expect("in time").expect("it runs").clone();
        assert_eq!(size.replicas, Some(3), "{trouble:?}");
    }
    server.script(|script| script.replicas = Some(5));
    door.set(Trouble::None);
    replicas(&sizes, Some(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_whose_pods_start_at_another_ordinal_has_a_problem_until_they_do_not() {
    let told = start();
    told.server.script(|script| script.start = 1);
    let mut known = told.sizes.known();
    let is_odd = known.wait_for(|size| size.start == 1);
    let size = timeout(LIMIT, is_odd).await.expect("in time").expect("it runs").clone();
    assert_eq!(size.replicas, Some(3));
    let problem = size.problem.expect("it is not followed");
    assert!(problem.contains("ordinal 1 (spec.ordinals.start)"), "{problem}");
    told.server.script(|script| script.start = 0);
    replicas(&told.sizes, Some(3)).await;
}
