//! Kubernetes is an API server on loopback that follows a script.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

#[derive(Default)]
struct Script {
    /// The status of the next answers; none: it does not answer. Later ones succeed.
    fates: VecDeque<Option<u16>>,
    /// Pod and cost of each request.
    asked: Vec<(String, String)>,
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, method: Method, uri: Uri, body: String) -> Response {
    assert_eq!(method, Method::PATCH);
    let pod = uri.path().strip_prefix("/api/v1/namespaces/game/pods/").expect("a pod");
    let patch: Value = serde_json::from_str(&body).expect("JSON");
    let annotations = &patch["metadata"]["annotations"];
    let cost = annotations[ANNOTATION].as_str().expect("a text").to_owned();
    let fate = {
        let mut script = script.lock();
        script.asked.push((pod.to_owned(), cost));
        script.fates.pop_front().unwrap_or(Some(200))
    };
    match fate {
        Some(200) => {
            Json(json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": pod}}))
                .into_response()
        }
        Some(code) => {
            let status = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code,
                                "reason": "Reason", "message": "no"});
            (StatusCode::from_u16(code).expect("a status"), Json(status)).into_response()
        }
        None => std::future::pending().await,
    }
}

async fn costs(fates: impl IntoIterator<Item = Option<u16>>) -> (DeletionCosts, Arc<Mutex<Script>>) {
    // An error means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let script = Arc::new(Mutex::new(Script {
        fates: fates.into_iter().collect(),
        asked: Vec::new(),
    }));
    let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
    tokio::spawn(axum::serve(listener, app).into_future());
    let mut config = kube::Config::new(format!("http://{address}").parse().expect("a URL"));
    config.default_namespace = "game".to_owned();
    let costs = DeletionCosts::new(Client::try_from(config).expect("a client"));
    let answer = Duration::from_millis(300);
    (DeletionCosts { answer, ..costs }, script)
}

fn loads(loads: &[(&str, u64)]) -> Loads {
    loads
        .iter()
        .map(|(server, load)| (ServerName::new(*server).expect("a name"), *load))
        .collect()
}

/// What was asked since the last time.
fn asked(script: &Mutex<Script>) -> Vec<(String, String)> {
    let mut asked = std::mem::take(&mut script.lock().asked);
    asked.sort();
    asked
}

fn text(asked: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = asked.iter().map(|(pod, cost)| ((*pod).to_owned(), (*cost).to_owned()));
    owned.collect()
}

#[tokio::test]
async fn each_pod_gets_its_load_and_again_only_after_a_real_change() {
    let (mut costs, script) = costs([]).await;
    costs
        .round(&loads(&[("ws-0", 0), ("ws-1", 100), ("ws-2", 5_000_000_000)]))
        .await;
    assert_eq!(
        asked(&script),
        text(&[("ws-0", "0"), ("ws-1", "100"), ("ws-2", "2147483647")])
    );
    costs
        .round(&loads(&[("ws-0", 0), ("ws-1", 105), ("ws-2", 6_000_000_000)]))
        .await;
    assert_eq!(asked(&script), []);
    costs.round(&loads(&[("ws-0", 1), ("ws-1", 112), ("ws-2", 0)])).await;
    assert_eq!(asked(&script), text(&[("ws-0", "1"), ("ws-1", "112"), ("ws-2", "0")]));
}

#[tokio::test]
async fn a_server_that_is_no_pod_is_not_asked_for_again_while_it_lives() {
    let (mut costs, script) = costs([Some(404)]).await;
    costs.round(&loads(&[("by-hand", 3)])).await;
    costs.round(&loads(&[("by-hand", 300)])).await;
    assert_eq!(asked(&script).len(), 1);
    costs.round(&loads(&[])).await;
    costs.round(&loads(&[("by-hand", 4)])).await;
    assert_eq!(asked(&script), text(&[("by-hand", "4")]));
}

#[tokio::test]
async fn a_round_ends_when_the_api_server_has_trouble_and_the_next_one_goes_on() {
    for fate in [Some(401), Some(500), None] {
        let (mut costs, script) = costs([fate]).await;
        let many: Vec<_> = (0..20).map(|number| format!("ws-{number:02}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), 7)).collect();
        costs.round(&loads(&many)).await;
        assert_eq!(asked(&script).len(), AT_ONCE, "{fate:?}");
        assert!(costs.has_failed);
        costs.round(&loads(&many)).await;
        assert_eq!(
            asked(&script).len(),
            20 - (AT_ONCE - 1),
            "those that worked are not told again"
        );
        assert!(!costs.has_failed);
    }
}

#[tokio::test]
async fn a_round_is_bounded_and_the_costliest_that_were_never_told_come_first() {
    let (mut costs, script) = costs([]).await;
    let many: Vec<_> = (0..100).map(|number| format!("ws-{number:03}")).collect();
    let many: Vec<_> = many
        .iter()
        .zip(0..)
        .map(|(name, number)| (name.as_str(), 99 - number))
        .collect();
    costs.round(&loads(&many)).await;
    let first = asked(&script);
    assert_eq!((first.len(), first[MOST - 1].1.as_str()), (MOST, "36"));
    // Those that were told have changed, too.
    let more: Vec<_> = many.iter().map(|(name, load)| (*name, 2 * load + 100)).collect();
    costs.round(&loads(&more)).await;
    let second = asked(&script);
    assert_eq!(
        second.iter().filter(|(pod, _)| pod.as_str() >= "ws-064").count(),
        100 - MOST
    );
    assert_eq!(second.len(), MOST);
}

#[tokio::test]
async fn a_refusal_about_one_pod_holds_up_no_other_one_and_is_tried_again_later() {
    for fate in [Some(403), Some(422)] {
        let (mut costs, script) = costs([fate]).await;
        let many: Vec<_> = (0..20).map(|number| format!("ws-{number:02}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), 7)).collect();
        costs.round(&loads(&many)).await;
        assert_eq!(asked(&script).len(), 20, "{fate:?}");
        assert!(costs.has_failed);
        costs.round(&loads(&many)).await;
        assert_eq!(asked(&script), [], "{fate:?}");
        let past = Instant::now().checked_sub(REFUSED_FOR);
        costs.refused.retain(|_, at| {
            *at = past.unwrap_or(*at);
            true
        });
        costs.round(&loads(&many)).await;
        assert_eq!(asked(&script).len(), usize::from(past.is_some()));
    }
}

#[tokio::test]
async fn a_server_whose_name_no_pod_can_have_is_never_asked_for() {
    let (mut costs, script) = costs([]).await;
    let odd = [
        "../secrets/jwt",
        "..",
        "a b",
        "a?x=1",
        "a/log",
        "Ws-1",
        "-a",
        "a-",
        "a..b",
        "ä",
        "a%2fb",
    ];
    let mut all: Vec<_> = odd.iter().map(|name| (*name, 900)).collect();
    all.extend([("ws-1.zone", 7), ("ws-2", 8)]);
    costs.round(&loads(&all)).await;
    assert_eq!(asked(&script), text(&[("ws-1.zone", "7"), ("ws-2", "8")]));
    assert!(!costs.has_failed);
    costs.round(&loads(&all)).await;
    assert_eq!(asked(&script), []);
}

#[test]
fn a_tenth_matters_and_so_does_nothing() {
    for (told, cost, is) in [
        (0, 0, false),
        (0, 1, true),
        (1, 0, true),
        (1000, 1000, false),
        (1000, 1099, false),
        (1000, 1112, true),
        (1000, 900, true),
        (0, i32::MAX, true),
        (i32::MAX, i32::MAX - 1, false),
    ] {
        assert_eq!(is_another(told, cost), is, "{told} {cost}");
    }
}
