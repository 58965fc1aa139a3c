//! Rejected requests: tokens, paths, methods, bodies, panics, time limits.

use axum::body::{Body, Bytes};
use axum::http::Request;

use super::super::*;
use super::fixture::{Answer, Cluster, TOKEN, get, post, send};

async fn with_authorization(router: &Router, path: &str, value: &str) -> Answer {
    let request = Request::get(path).header("authorization", value).body(Body::empty());
    send(router, request.expect("a request")).await
}

#[tokio::test]
async fn only_the_right_token_opens_the_api() {
    let cluster = Cluster::new().await;
    let guarded = cluster.guarded();
    let none = get(&guarded, "/api/v1/stats").await;
    none.problem(401);
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"wsmesh\"");

    for wrong in [
        "Bearer wrong",
        "Bearer ",
        &format!("Bearer {TOKEN}x"),
        &format!("Bearer {}", &TOKEN[1..]),
    ] {
        let answer = with_authorization(&guarded, "/api/v1/stats", wrong).await;
        let detail = answer.problem(401);
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"wsmesh\", error=\"invalid_token\"",
            "{wrong}"
        );
        assert!(!detail.contains(TOKEN));
    }
    for other in [format!("Basic {TOKEN}"), TOKEN.to_owned(), "Bearer".to_owned()] {
        with_authorization(&guarded, "/api/v1/stats", &other).await.problem(401);
    }
    for right in [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}")] {
        assert_eq!(with_authorization(&guarded, "/api/v1/stats", &right).await.status, 200);
    }
}

#[tokio::test]
async fn without_a_token_not_even_the_existence_of_paths_is_revealed() {
    let cluster = Cluster::new().await;
    let guarded = cluster.guarded();
    get(&guarded, "/api/v1/no-such-path").await.problem(401);
    post(&guarded, "/api/v1/stats", "").await.problem(401);
    post(&guarded, "/api/v1/broadcast", "not JSON").await.problem(401);
    with_authorization(&guarded, "/api/v1/no-such-path", &format!("Bearer {TOKEN}"))
        .await
        .problem(404);
}

#[tokio::test]
async fn while_the_api_is_open_only_pages_of_its_own_host_may_use_it() {
    let cluster = Cluster::new().await;
    let ask = async |router: &Router, method: &str, origin: &str| {
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/stats")
            .header("host", "127.0.0.1:9100")
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        send(router, request.body(Body::empty()).expect("a request")).await
    };
    let allowed = |answer: &Answer| {
        let value = answer.headers.get("access-control-allow-origin");
        value.map(|origin| origin.to_str().expect("text").to_owned())
    };
    let open = cluster.open();
    let playground = "http://127.0.0.1:9000";
    for method in ["OPTIONS", "GET"] {
        let answer = ask(&open, method, playground).await;
        assert_eq!(
            (answer.status.as_u16(), allowed(&answer).as_deref()),
            (200, Some(playground)),
            "{method}"
        );
    }
    let preflight = ask(&open, "OPTIONS", playground).await;
    let methods = preflight.header("access-control-allow-methods");
    for method in ["GET", "POST", "PUT", "DELETE"] {
        assert!(methods.split(',').any(|allowed| allowed == method), "{methods}");
    }
    let headers = preflight.header("access-control-allow-headers");
    for header in ["content-type", "idempotency-key"] {
        assert!(headers.split(',').any(|allowed| allowed == header), "{headers}");
    }
    for origin in ["http://evil.example.org", "null"] {
        assert_eq!(allowed(&ask(&open, "OPTIONS", origin).await), None);
        let refused = ask(&open, "GET", origin).await;
        assert_eq!(allowed(&refused), None);
        assert!(refused.problem(403).contains("--token-file"));
    }
    // With a token the origin of a page does not matter, and no CORS header is sent.
    let guarded = cluster.guarded();
    let answer = ask(&guarded, "OPTIONS", playground).await;
    assert_eq!((answer.status.as_u16(), allowed(&answer)), (401, None));
}

#[tokio::test]
async fn while_the_api_is_open_browsers_get_nothing_for_pages_of_others_without_an_origin_either() {
    let cluster = Cluster::new().await;
    let ask = async |router: &Router, path: &str, host: &str, site: &str| {
        let request = Request::get(path).header("host", host).header("sec-fetch-site", site);
        send(router, request.body(Body::empty()).expect("a request"))
            .await
            .status
            .as_u16()
    };
    for (prefix, path) in [(None, "/api/v1/caller"), (Some("/admin"), "/admin/api/v1/caller")] {
        let open = cluster.behind(prefix);
        let here = "127.0.0.1:9100";
        for (site, status) in [
            ("same-origin", 200),
            ("none", 200),
            ("cross-site", 403),
            ("same-site", 403),
        ] {
            assert_eq!(ask(&open, path, here, site).await, status, "{path} {site}");
        }
        // A link to the page may be anywhere.
        let page = path.replace("api/v1/caller", "");
        assert_eq!(ask(&open, &page, here, "cross-site").await, 200, "{page}");
        // The page of a name that was made to lead here is of the same origin.
        for (host, status) in [("admin:9100", 200), ("rebound.example.org:9100", 403)] {
            assert_eq!(ask(&open, path, host, "same-origin").await, status, "{host}");
        }
    }
    // With a token none of this matters.
    let guarded = cluster.guarded();
    assert_eq!(
        ask(&guarded, "/api/v1/caller", "a.example.org", "cross-site").await,
        401
    );
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_problems() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    for path in [
        "/nothing",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/stats",
        "/api/v1/clients",
        "/api/v1/rooms/chat",
    ] {
        get(&open, path).await.problem(404);
    }
    let stats = post(&open, "/api/v1/stats", "{}").await;
    stats.problem(405);
    assert_eq!(stats.header("allow"), "GET,HEAD");
    let broadcast = get(&open, "/api/v1/broadcast").await;
    broadcast.problem(405);
    assert_eq!(broadcast.header("allow"), "POST");
    post(&open, "/", "").await.problem(405);
}

#[tokio::test]
async fn invalid_ids_and_pages_are_rejected_with_the_reason() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let long = "x".repeat(256);
    for (path, reason) in [
        (
            format!("/api/v1/clients/{long}"),
            "client id has 256 bytes: at most 255 are allowed",
        ),
        (format!("/api/v1/rooms/{long}/a"), "room namespace has 256 bytes"),
        (format!("/api/v1/rooms/chat/{long}"), "room id has 256 bytes"),
        ("/api/v1/clients/a%0Ab".to_owned(), "control character"),
        ("/api/v1/clients/%FF".to_owned(), "UTF-8"),
        (
            "/api/v1/rooms/chat/lobby?limit=0".to_owned(),
            "limit: write a whole number from 1 to 10000",
        ),
        (
            "/api/v1/rooms/chat/lobby?limit=10001".to_owned(),
            "limit: write a whole number from 1 to 10000",
        ),
        ("/api/v1/rooms/chat/lobby?limit=many".to_owned(), "limit"),
        (
            "/api/v1/rooms/chat/lobby?page=2".to_owned(),
            "unknown query parameter `page`: this route takes cursor, limit",
        ),
        (
            "/api/v1/stats?pretty".to_owned(),
            "unknown query parameter `pretty`: this route takes none",
        ),
        ("/api/v1/rooms?limit=0".to_owned(), "limit: write a whole number"),
        ("/api/v1/rooms?limit=1&limit=2".to_owned(), "limit"),
        (
            format!("/api/v1/rooms?namespace={long}"),
            "room namespace has 256 bytes",
        ),
        (
            "/api/v1/rooms?afterId=lobby".to_owned(),
            "unknown query parameter `afterId`",
        ),
        (
            "/api/v1/rooms?cursor=lobby".to_owned(),
            "cursor: not a cursor of this list",
        ),
        (
            // The cursor of a list of members.
            "/api/v1/rooms?cursor=ImFubiI".to_owned(),
            "cursor: not a cursor of this list",
        ),
        ("/api/v1/jobs?cursor=".to_owned(), "cursor: not a cursor of this list"),
        (format!("/api/v1/rooms?prefix={long}"), "prefix has more than 255"),
    ] {
        let detail = get(&open, &path).await.problem(400);
        assert!(detail.contains(reason), "{path}: {detail}");
    }
}

#[tokio::test]
async fn invalid_broadcasts_are_rejected_with_the_reason() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let long = "x".repeat(256);
    for (body, reason) in [
        (String::new(), "EOF"),
        ("not JSON".to_owned(), "line 1"),
        ("[]".to_owned(), ""),
        ("{}".to_owned(), "event"),
        (r#"{"event":7}"#.to_owned(), "event"),
        (r#"{"event":""}"#.to_owned(), "event is empty"),
        (r#"{"event":"say","playload":1}"#.to_owned(), "playload"),
        (r#"{"event":"say","payload":{]}"#.to_owned(), "line 1"),
        (r#"{"event":"say","room":{"namespace":"chat"}}"#.to_owned(), "id"),
        (format!(r#"{{"event":"say","clients":["{long}"]}}"#), "256 bytes"),
        (
            r#"{"event":"say","room":{"namespace":"chat","id":"a"},"clients":["ann"]}"#.to_owned(),
            "both",
        ),
        (
            format!(r#"{{"event":"say","room":{}1{}}}"#, "[".repeat(1000), "]".repeat(1000)),
            "",
        ),
    ] {
        let detail = post(&open, "/api/v1/broadcast", body.clone()).await.problem(400);
        assert!(detail.contains(reason), "{body}: {detail}");
    }
}

#[tokio::test]
async fn a_body_of_another_type_or_too_large_is_rejected() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    let plain = Request::post("/api/v1/broadcast")
        .body(Body::from(r#"{"event":"say"}"#))
        .expect("a request");
    send(&open, plain).await.problem(415);
    let big = format!(
        r#"{{"event":"say","payload":"{}"}}"#,
        "x".repeat(MAX_BODY_BYTES as usize)
    );
    let detail = post(&open, "/api/v1/broadcast", big).await.problem(413);
    assert!(detail.contains("1048576 bytes"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_body_never_ends_is_ended() {
    let router = Router::new().route("/slow", axum::routing::post(async |_: Bytes| "never"));
    let router = limit_time(router, Duration::from_secs(10));
    let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let detail = post(&router, "/slow", body).await.problem(408);
    assert!(detail.contains("10 seconds"), "{detail}");
}

#[tokio::test]
async fn a_panic_ends_only_its_own_request_and_its_text_is_not_shown() {
    async fn bug() -> &'static str {
        panic!("secret: {}", TOKEN)
    }
    let router = Router::new()
        .route("/bug", axum::routing::get(bug))
        .layer(CatchPanicLayer::custom(after_panic));
    let answer = get(&router, "/bug").await;
    answer.problem(500);
    assert!(!answer.text.contains("secret"));
}
