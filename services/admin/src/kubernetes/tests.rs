//! Pods, from plain values and from a tower service in place of the API server.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

fn slice(endpoints: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "wsmesh-redis-x", "namespace": "game", "resourceVersion": "1", "uid": "u1"},
        "addressType": "IPv4",
        "endpoints": endpoints,
    })
}

fn endpoint(pod: &str, ip: &str, conditions: Value) -> Value {
    json!({"addresses": [ip], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}})
}

pub(super) fn pod(pod: &str, ip: &str, ready: bool) -> Pod {
    Pod {
        pod: pod.to_owned(),
        ip: ip.to_owned(),
        ready,
    }
}

#[test]
fn endpoints_become_pods_by_name_and_are_ready_unless_they_say_otherwise() {
    let slice: EndpointSlice = serde_json::from_value(slice(json!([
        endpoint("redis-1", "10.0.0.2", json!({"ready": false})),
        endpoint("redis-0", "10.0.0.1", json!({})),
        {"addresses": ["10.0.0.9"], "conditions": {}},
    ])))
    .expect("a slice");
    assert_eq!(
        super::pods::pods([&slice].into_iter()),
        [pod("redis-0", "10.0.0.1", true), pod("redis-1", "10.0.0.2", false)]
    );
}

/// A client of an API server that lists one slice and then sends no changes, or that rejects everything.
fn api_server(allowed: bool) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| async move {
        let query = request.uri().query().unwrap_or_default().to_owned();
        assert!(
            query.contains("labelSelector=kubernetes.io%2Fservice-name%3Dwsmesh-redis"),
            "{query}"
        );
        assert_eq!(
            request.uri().path(),
            "/apis/discovery.k8s.io/v1/namespaces/game/endpointslices"
        );
        if !allowed {
            let refusal = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "endpointslices is forbidden", "reason": "Forbidden", "code": 403});
            let response = Response::builder()
                .status(403)
                .body(Body::from(refusal.to_string().into_bytes()));
            return Ok::<_, Infallible>(response.expect("a response"));
        }
        if query.contains("watch=true") {
            std::future::pending::<()>().await;
        }
        let list = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList", "metadata": {"resourceVersion": "1"},
            "items": [slice(json!([endpoint("redis-0", "10.0.0.1", json!({"ready": true}))]))],
        });
        Ok(Response::new(Body::from(list.to_string().into_bytes())))
    });
    Client::new(service, "game")
}

/// Waits for a view that satisfies `wanted`.
pub(super) async fn view_with(kubernetes: &Kubernetes, wanted: impl Fn(&View) -> bool) -> View {
    let found = async {
        let mut every = tokio::time::interval(Duration::from_millis(5));
        loop {
            let view = kubernetes.view();
            if wanted(&view) {
                return view;
            }
            every.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .expect("the view changed in time")
}

#[tokio::test]
async fn the_watch_fills_the_view_and_ends_with_the_service() {
    let shutdown = CancellationToken::new();
    let (kubernetes, task) = Kubernetes::watch(api_server(true), "wsmesh-redis", shutdown.clone());
    let view = view_with(&kubernetes, |view| view.problem.is_none()).await;
    assert_eq!(view.pods, [pod("redis-0", "10.0.0.1", true)]);
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), task)
        .await
        .expect("ends in time")
        .expect("does not panic");
}

#[tokio::test]
async fn an_error_of_the_api_server_is_shown() {
    let shutdown = CancellationToken::new();
    let (kubernetes, task) = Kubernetes::watch(api_server(false), "wsmesh-redis", shutdown.clone());
    let refused = |view: &View| {
        view.problem
            .as_ref()
            .is_some_and(|problem| problem.contains("forbidden"))
    };
    view_with(&kubernetes, refused).await;
    let looked = super::look_once(api_server(false), "wsmesh-redis").await;
    assert_eq!(
        looked.problem.as_deref(),
        Some("endpointslices is forbidden (403 Forbidden)")
    );
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), task)
        .await
        .expect("ends in time")
        .expect("does not panic");
}
