//! Who may use which route: roles, tokens that come and go, wrong ones.

use std::net::SocketAddr;
use std::path::Path;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use prometheus::Registry;
use serde_json::json;
use tower::ServiceExt;

use super::super::*;
use super::fixture::{Answer, Cluster, send, timeout};
use crate::gather::Page;

/// The callers of these tests: what they may do, by their name, which is their token, too.
const CALLERS: [(&str, &str, bool); 4] = [
    ("viewer-0123456789", "viewer", false),
    ("publisher-0123456789", "publisher", false),
    ("clients-0123456789", "publisher", true),
    ("operator-0123456789", "operator", false),
];

/// A request with a token, from an address if one is given.
async fn ask(router: &Router, (method, path): (&str, &str), body: &str, token: &str, from: Option<&str>) -> Answer {
    let lines = path.ends_with("/batch");
    let kind = if lines {
        "application/x-ndjson"
    } else {
        "application/json"
    };
    let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(Body::from(body.to_owned())).expect("a request");
    if let Some(from) = from {
        let peer: SocketAddr = (from.parse::<std::net::IpAddr>().expect("an address"), 4711).into();
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    send(router, request).await
}

fn entry(name: &str, role: &str, clients: bool, token: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(token.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let clients = if clients { "clients = true\n" } else { "" };
    format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hex}\"\n{clients}")
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

/// Routes that know the callers of these tests.
fn with_callers(cluster: &Cluster, folder: &Path) -> (Api, Router) {
    let path = folder.join("tokens.toml");
    let entries = CALLERS.map(|(token, role, clients)| {
        let name = token.split('-').next().expect("a name");
        entry(name, role, clients, token)
    });
    write(&path, &entries.concat());
    of_file(cluster, &path)
}

fn of_file(cluster: &Cluster, path: &Path) -> (Api, Router) {
    let api = Api {
        access: Access::of_file(path),
        ..cluster.api(None)
    };
    let router = router(
        api.clone(),
        HttpMetrics::new(&Registry::new()).expect("registers"),
        None,
    );
    (api, router)
}

/// Each route of the API with a path that fits, and which of [`CALLERS`] may use it, by the description.
fn routes() -> Vec<(String, String, [bool; 4])> {
    let description = serde_json::to_value(description()).expect("JSON");
    let mut routes = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let needed = operation["security"][0]["token"][0].as_str().expect("a role");
            let fits = path.replace("{namespace}", "chat").replace("{name}", "ws-9");
            let fits = fits.replace("{room}", "x").replace("{id}", "nobody");
            routes.push((method.to_uppercase(), fits, may(&method.to_uppercase(), path, needed)));
        }
    }
    routes
}

/// Which of [`CALLERS`] may use a route.
fn may(method: &str, path: &str, needed: &str) -> [bool; 4] {
    let changes_clients = [
        ("DELETE", "/api/v1/rooms/{namespace}/{id}"),
        ("POST", "/api/v1/clients/{id}/disconnect"),
        ("PUT", "/api/v1/clients/{id}/data"),
        ("DELETE", "/api/v1/clients/{id}/data"),
        ("PUT", "/api/v1/clients/{id}/rooms/{namespace}/{room}"),
        ("DELETE", "/api/v1/clients/{id}/rooms/{namespace}/{room}"),
    ];
    match needed {
        _ if changes_clients.contains(&(method, path)) => [false, false, true, true],
        "viewer" => [true; 4],
        "publisher" => [false, true, true, true],
        _ => [false, false, false, true],
    }
}

#[tokio::test]
async fn each_route_is_open_to_those_who_may_use_it_and_to_no_others() {
    let cluster = Cluster::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, router) = with_callers(&cluster, folder.path());
    let routes = routes();
    assert!(routes.len() >= 25, "{}", routes.len());
    for (method, path, allowed) in &routes {
        if path.ends_with("/events") || path.ends_with("/watch") {
            // They do not end.
            continue;
        }
        ask(&router, (method, path), "", "", None).await.problem(401);
        ask(&router, (method, path), "", "no-such-token-here", None)
            .await
            .problem(401);
        for ((token, role, _), allowed) in CALLERS.iter().zip(allowed) {
            // Nothing but the answer's kind matters, so no body fits and no target exists.
            let answer = ask(&router, (method, path), "no JSON", token, None).await;
            let is_role = answer.status == 403 && answer.json()["code"] == "role";
            assert_eq!(is_role, !allowed, "{method} {path} as {token}: {}", answer.text);
            if is_role {
                let detail = answer.problem(403);
                assert!(detail.contains(&format!("the role {role}")), "{detail}");
            }
        }
    }
    // Methods and paths that do not exist are told to everyone with a token.
    for (token, ..) in CALLERS {
        ask(&router, ("GET", "/api/v1/nothing"), "", token, None)
            .await
            .problem(404);
        ask(&router, ("DELETE", "/api/v1/stats"), "", token, None)
            .await
            .problem(405);
    }
}

#[tokio::test]
async fn viewers_see_connections_without_what_is_attached_to_them() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.client("ann").await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, router) = with_callers(&cluster, folder.path());
    let set = ask(
        &router,
        ("PUT", "/api/v1/clients/ann/data"),
        r#"{"team":"red"}"#,
        "clients-0123456789",
        None,
    );
    assert_eq!(set.await.status, 200);
    for (token, sees) in [("viewer-0123456789", false), ("publisher-0123456789", true)] {
        let ann = ask(&router, ("GET", "/api/v1/clients/ann"), "", token, None).await;
        assert_eq!(ann.json()["state"], "connected");
        assert_eq!(ann.text.contains("red"), sees, "{}", ann.text);
        let detailed = r#"{"ids":["ann"],"detail":"contexts"}"#;
        let detailed = ask(&router, ("POST", "/api/v1/clients/query"), detailed, token, None).await;
        assert_eq!(detailed.status == 200, sees, "{}", detailed.text);
        let query = r#"{"ids":["ann"]}"#;
        assert_eq!(
            ask(&router, ("POST", "/api/v1/clients/query"), query, token, None)
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn lines_of_a_batch_that_the_caller_may_not_send_are_rejected_alone() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    edge.obeys_orders();
    let _ann = edge.client("ann").await;
    let folder = tempfile::tempdir().expect("a folder");
    let (api, router) = with_callers(&cluster, folder.path());
    let lines = [
        r#"{"broadcast":{"event":"say"}}"#,
        r#"{"join":{"client":"ann","room":{"namespace":"chat","id":"lobby"}}}"#,
        r#"{"query":{"ids":["ann"],"detail":"contexts"}}"#,
        r#"{"disconnect":{"client":"ann"}}"#,
    ]
    .join("\n");
    for (token, statuses) in [
        ("publisher-0123456789", [202, 403, 200, 403]),
        ("clients-0123456789", [202, 200, 200, 200]),
    ] {
        let answer = ask(&router, ("POST", "/api/v1/batch"), &lines, token, None).await;
        let results = answer.lines();
        let got: Vec<_> = results
            .iter()
            .map(|line| line["status"].as_u64().expect("a status"))
            .collect();
        assert_eq!(got, statuses, "{}", answer.text);
        if statuses[1] == 403 {
            assert_eq!(results[1]["body"]["code"], "role");
        }
    }
    let page = api.audit.gather(&api.adapter, &Page::new(100, None)).await;
    let records = crate::audit::page(&page, 100).records;
    let join = records.iter().filter(|record| record.action == "join");
    let join: Vec<_> = join.map(|record| (record.status, record.target.as_str())).collect();
    let target = "client ann, room chat/lobby";
    assert_eq!(join.len(), 2, "{records:?}");
    assert!(
        join.contains(&(403, target)) && join.contains(&(200, target)),
        "{join:?}"
    );
    assert!(records.iter().all(|record| record.action != "batch"), "{records:?}");
}

#[tokio::test]
async fn a_repeat_with_the_key_of_another_caller_does_not_get_its_answer() {
    let cluster = Cluster::new().await;
    let edge = cluster.edge("ws-node-1").await;
    let _ann = edge.answering("ann", json!("secret")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, router) = with_callers(&cluster, folder.path());
    let ask_with_key = async |token: &str| {
        let request = Request::post("/api/v1/clients/ann/requests")
            .header("content-type", "application/json")
            .header("idempotency-key", "k")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(r#"{"event":"who?"}"#));
        send(&router, request.expect("a request")).await
    };
    assert_eq!(ask_with_key("operator-0123456789").await.status, 200);
    ask_with_key("viewer-0123456789").await.problem(403);
    // Another caller that may ask: its key is its own, so the client is asked again.
    let again = ask_with_key("publisher-0123456789").await;
    assert_eq!(again.json(), json!({"answer": "secret"}));
}

#[tokio::test]
async fn a_token_that_is_replaced_stops_working_and_its_streams_end() {
    let cluster = Cluster::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.toml");
    write(&path, &entry("ci", "viewer", false, "old-0123456789abc"));
    let (api, router) = of_file(&cluster, &path);
    let stats = async |token: &str| {
        ask(&router, ("GET", "/api/v1/stats"), "", token, None)
            .await
            .status
            .as_u16()
    };
    let caller = api.access.enter(Some("old-0123456789abc"), None).await.expect("listed");
    assert_eq!(stats("old-0123456789abc").await, 200);

    let request = Request::get("/api/v1/events").header("authorization", "Bearer old-0123456789abc");
    let stream = router.clone().oneshot(request.body(Body::empty()).expect("a request"));
    let stream = timeout(stream).await.expect("infallible");
    assert_eq!(stream.status(), 200);

    // Both count while one replaces the other.
    let both = entry("ci", "viewer", false, "old-0123456789abc") + &entry("ci", "viewer", false, "new-0123456789abc");
    write(&path, &both);
    api.access.reread();
    assert_eq!(
        (stats("old-0123456789abc").await, stats("new-0123456789abc").await),
        (200, 200)
    );
    write(&path, &entry("ci", "viewer", false, "new-0123456789abc"));
    api.access.reread();
    timeout(caller.ended()).await;
    timeout(axum::body::to_bytes(stream.into_body(), usize::MAX))
        .await
        .expect("it ends");
    assert_eq!(
        (stats("old-0123456789abc").await, stats("new-0123456789abc").await),
        (401, 200)
    );

    // The last token is taken away.
    write(&path, "tokens = []");
    api.access.reread();
    assert_eq!(stats("new-0123456789abc").await, 401);
    write(&path, &entry("ci", "viewer", false, "new-0123456789abc"));
    api.access.reread();

    // Garbage: those before it stay in force, and it is shown.
    for garbage in ["", "[[tokens", "tokens = \"none\""] {
        write(&path, garbage);
        api.access.reread();
        assert_eq!(stats("new-0123456789abc").await, 200, "{garbage}");
        let shown = api.access.stats();
        assert!(
            shown["problems"][0]
                .as_str()
                .is_some_and(|problem| problem.contains("tokens.toml")),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn an_address_that_guesses_is_slowed_down_and_others_are_not() {
    let cluster = Cluster::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (api, router) = with_callers(&cluster, folder.path());
    let stats = async |token: &str, from: &str| ask(&router, ("GET", "/api/v1/stats"), "", token, Some(from)).await;
    let mut guesses = 0;
    let mut guess = async |token: &str| {
        guesses += 1;
        // A guesser of IPv6 has many addresses, which are one.
        let answer = stats(token, &format!("2001:db8::{guesses:x}")).await;
        // Others are not affected.
        assert_eq!(stats("viewer-0123456789", "2001:db8:0:1::1").await.status, 200);
        if answer.status == 429 {
            assert_eq!(answer.json()["code"], "slowed-down");
            assert!(
                answer
                    .header("retry-after")
                    .parse::<u64>()
                    .is_ok_and(|seconds| seconds >= 1)
            );
        }
        answer.status.as_u16()
    };
    // Also with the right token, else its answers would tell which guess is right. One a second may be tried, so this may take turns.
    super::fixture::until("it is slowed down", async || {
        for _ in 0..12 {
            guess("no-such-token-here").await;
        }
        guess("no-such-token-here").await == 429 && guess("operator-0123456789").await == 429
    })
    .await;
    // No token is no guess.
    for _ in 0..40 {
        ask(&router, ("GET", "/api/v1/stats"), "", "", Some("192.0.2.7"))
            .await
            .problem(401);
    }
    assert_eq!(stats("viewer-0123456789", "192.0.2.7").await.status, 200);
    let page = api.audit.gather(&api.adapter, &Page::new(100, None)).await;
    let records = crate::audit::page(&page, 100).records;
    let guessed: u64 = records
        .iter()
        .filter(|record| record.action == "wrong token" && record.address.is_some_and(|address| address.is_ipv6()))
        .map(|record| record.count)
        .sum();
    assert!(guessed >= 13, "{records:?}");
}

#[tokio::test]
async fn odd_and_huge_headers_are_no_token() {
    let cluster = Cluster::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, router) = with_callers(&cluster, folder.path());
    let huge = format!("Bearer {}", "x".repeat(100_000));
    let dots = format!("Bearer {}", "a.b.".repeat(20_000));
    for value in [
        &b"Bearer \xff\xfe\x80"[..],
        b"Bearer\tviewer-0123456789",
        b"Bearer viewer-0123456789 x",
        b"bearer",
        b"Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoib3BlcmF0b3IifQ.",
        huge.as_bytes(),
        dots.as_bytes(),
    ] {
        let request = Request::get("/api/v1/stats")
            .header("authorization", value)
            .body(Body::empty());
        send(&router, request.expect("a request")).await.problem(401);
    }
    // There is no other way to send a token: what browsers send by themselves, as cookies, is none.
    let request = Request::get("/api/v1/stats?token=viewer-0123456789")
        .header("cookie", "token=viewer-0123456789")
        .body(Body::empty());
    send(&router, request.expect("a request")).await.problem(401);
}

#[tokio::test]
async fn the_single_token_may_do_everything() {
    let cluster = Cluster::new().await;
    let guarded = cluster.guarded();
    for (method, path, _) in routes()
        .into_iter()
        .filter(|(_, path, _)| !path.ends_with("/events") && !path.ends_with("/watch"))
    {
        let answer = ask(&guarded, (&method, &path), "no JSON", super::fixture::TOKEN, None).await;
        assert_ne!(answer.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn while_the_keys_of_the_provider_cannot_be_fetched_its_tokens_are_neither_right_nor_wrong() {
    let cluster = Cluster::new().await;
    let settings = crate::access::AccessSettings {
        // Nobody listens there.
        oidc_jwks_url: Some("http://127.0.0.1:1/keys".parse().expect("a URL")),
        oidc_issuers: vec!["https://id.example.org".to_owned()],
        ..crate::access::AccessSettings::default()
    };
    let single = wsmesh_bootstrap::SecretFile::from_secret(wsmesh_bootstrap::Secret::new(super::fixture::TOKEN));
    let metrics = crate::access::AccessMetrics::new(&cluster.registry).expect("registers");
    let access = Access::start(Some(&single), &settings, None, metrics).expect("starts");
    let api = Api {
        access,
        ..cluster.api(None)
    };
    let router = router(api, HttpMetrics::new(&Registry::new()).expect("registers"), None);
    // {"alg":"ES256","kid":"k"}
    let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJhbm4ifQ.AAAA";
    let stats = async |token: &str| ask(&router, ("GET", "/api/v1/stats"), "", token, Some("192.0.2.9")).await;
    for _ in 0..30 {
        let answer = stats(token).await;
        answer.problem(503);
        assert_eq!(answer.header("retry-after"), "1");
    }
    // The other tokens work, and nobody was slowed down.
    assert_eq!(stats(super::fixture::TOKEN).await.status, 200);
    stats("no-such-token-here").await.problem(401);
    let counted: Vec<_> = cluster
        .registry
        .gather()
        .iter()
        .filter(|family| family.name() == "wsmesh_auth_failures_total")
        .flat_map(|family| family.get_metric().to_vec())
        .map(|metric| {
            (
                metric.get_label()[0].value().to_owned(),
                metric.get_counter().get_value(),
            )
        })
        .collect();
    assert_eq!(counted, [("no_keys".to_owned(), 30.0), ("wrong".to_owned(), 1.0)]);
}
