//! Kubernetes is an API server on loopback.

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

async fn answer(uri: Uri, body: String) -> Response {
    let path = uri.path();
    let kind = |group: &str, kind: &str, rest: Value| {
        let mut document = json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {}});
        let fields = rest.as_object().cloned().unwrap_or_default();
        document.as_object_mut().expect("an object").extend(fields);
        Json(document).into_response()
    };
    if path.ends_with("/selfsubjectreviews") {
        let user = json!({"status": {"userInfo": {"username": "system:serviceaccount:games:wsmesh-admin"}}});
        return kind("authentication.k8s.io", "SelfSubjectReview", user);
    }
    if path.ends_with("/selfsubjectaccessreviews") {
        let asked: Value = serde_json::from_str(&body).expect("JSON");
        let attributes = &asked["spec"]["resourceAttributes"];
        assert!(!attributes["resource"].as_str().unwrap_or("/").contains('/'), "{asked}");
        let is_of_cluster = attributes["resource"] == "tokenreviews";
        assert_eq!(attributes["namespace"].is_null(), is_of_cluster, "{asked}");
        let is_watch = asked["spec"]["resourceAttributes"]["verb"] == "watch";
        let status = json!({"spec": asked["spec"], "status": {"allowed": !is_watch}});
        return kind("authorization.k8s.io", "SelfSubjectAccessReview", status);
    }
    if path.ends_with("/endpointslices") {
        assert_eq!(
            uri.query(),
            Some("&labelSelector=kubernetes.io%2Fservice-name%3Dwsmesh-redis")
        );
        let pod = json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "redis-0"}});
        let slice = json!({"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [pod]});
        let list = json!({"items": [slice], "metadata": {"resourceVersion": "7"}});
        return kind("discovery.k8s.io", "EndpointSliceList", list);
    }
    match path {
        "/apis/apps/v1/namespaces/games/statefulsets/wsmesh-redis/scale" => {
            kind("autoscaling", "Scale", json!({"spec": {"replicas": 4}}))
        }
        "/api/v1/namespaces/games/pods/ws-0" => {
            let sleep = json!({"name": "ws-node", "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}});
            let spec = json!({"spec": {"terminationGracePeriodSeconds": 35, "containers": [sleep]}});
            Json(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ws-0"}, "spec": spec["spec"]}))
                .into_response()
        }
        _ => {
            let status = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 403,
                                "reason": "Forbidden", "message": "pods \"ws-1\" is forbidden"});
            (StatusCode::FORBIDDEN, Json(status)).into_response()
        }
    }
}

async fn client() -> Client {
    // An error means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
    let mut config = kube::Config::new(format!("http://{address}").parse().expect("a URL"));
    config.default_namespace = "games".to_owned();
    Client::try_from(config).expect("a client")
}

#[tokio::test]
async fn rights_pods_and_redis_pods_are_read() {
    let name = |name: &str| ServerName::new(name).expect("a name");
    let names = Names {
        service: Some("wsmesh-redis"),
        ..Names::default()
    };
    let pods = look(client().await, names, vec![name("ws-0"), name("ws-1")]).await;
    assert_eq!(
        (pods.namespace.as_str(), pods.account.as_str()),
        ("games", "wsmesh-admin")
    );
    let rights: Vec<_> = pods
        .rights
        .iter()
        .map(|right| (right.verb, right.resource, right.is_allowed.clone()))
        .collect();
    assert_eq!(
        rights,
        [
            ("list", "endpointslices", Ok(true)),
            ("watch", "endpointslices", Ok(false)),
            ("get", "pods", Ok(true)),
        ]
    );
    let times = GraceTimes {
        grace_seconds: 35,
        sleep_seconds: 5,
    };
    assert_eq!(pods.servers[0].times, Ok(times));
    let refused = pods.servers[1].times.as_ref().expect_err("it may not be read");
    assert_eq!(refused, "pods \"ws-1\" is forbidden (403 Forbidden)");
    let redis = pods.redis.expect("looked at");
    assert_eq!((redis.pods[0].pod.as_str(), redis.problem), ("redis-0", None));
}

#[tokio::test]
async fn without_a_service_of_redis_pods_only_pods_are_needed() {
    let pods = look(client().await, Names::default(), Vec::new()).await;
    assert_eq!((pods.redis, pods.rights.len()), (None, 1));
}

#[tokio::test]
async fn an_admin_that_leads_needs_the_rights_of_its_own_objects_only() {
    let names = Names {
        stateful_set: Some("wsmesh-redis"),
        lease: Some("wsmesh-admin"),
        writes_costs: true,
        reviews_tokens: true,
        ..Names::default()
    };
    let pods = look(client().await, names, Vec::new()).await;
    let rights = pods.rights.iter();
    let rights: Vec<_> = rights
        .map(|right| (right.verb, right.resource, right.name.as_deref()))
        .collect();
    assert_eq!(
        rights,
        [
            ("get", "statefulsets", Some("wsmesh-redis")),
            ("get", "statefulsets/scale", Some("wsmesh-redis")),
            ("patch", "statefulsets/scale", Some("wsmesh-redis")),
            ("create", "events", None),
            ("patch", "events", None),
            ("create", "leases", None),
            ("get", "leases", Some("wsmesh-admin")),
            ("update", "leases", Some("wsmesh-admin")),
            ("patch", "pods", None),
            ("create", "tokenreviews", None),
            ("get", "pods", None),
        ]
    );
}

#[tokio::test]
async fn the_stateful_set_and_the_times_of_its_pods_are_read() {
    let redis = wsmesh_bootstrap::Value::parse("redis://wsmesh-redis#redis").expect("a Service");
    let names = Names {
        stateful_set: Some("wsmesh-redis"),
        redis: Some(&redis),
        ..Names::default()
    };
    let set = look(client().await, names, Vec::new())
        .await
        .stateful_set
        .expect("read");
    assert_eq!((set.name.as_str(), set.replicas), ("wsmesh-redis", Ok(4)));
    let why = set.times.expect_err("the pod may not be read");
    assert!(why.contains("forbidden"), "{why}");
}

#[test]
fn what_a_pod_does_not_say_is_what_kubernetes_fills_in() {
    let times = times(&PodSpec::default());
    assert_eq!((times.grace_seconds, times.sleep_seconds), (30, 0));
}
