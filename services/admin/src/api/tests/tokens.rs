//! Tokens that come and go, and wrong ones.

use axum::body::Body;
use axum::http::Request;
use prometheus::Registry;
use tower::ServiceExt;

use super::super::*;
use super::callers::{ask, entry, of_file, with_callers, write};
use super::fixture::{Cluster, TOKEN, send, timeout, until};
use crate::gather::Page;

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
    until("it is slowed down", async || {
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
async fn while_the_keys_of_the_provider_cannot_be_fetched_its_tokens_are_neither_right_nor_wrong() {
    let cluster = Cluster::new().await;
    let settings = crate::access::AccessSettings {
        // Nobody listens there.
        oidc_jwks_url: Some("http://127.0.0.1:1/keys".parse().expect("a URL")),
        oidc_issuers: vec!["https://id.example.org".to_owned()],
        ..crate::access::AccessSettings::default()
    };
    let single = wsmesh_bootstrap::SecretFile::from_secret(wsmesh_bootstrap::Secret::new(TOKEN));
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
    assert_eq!(stats(TOKEN).await.status, 200);
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
        .filter(|(_, count)| *count > 0.0)
        .collect();
    assert_eq!(counted, [("no_keys".to_owned(), 30.0), ("wrong".to_owned(), 1.0)]);
}
