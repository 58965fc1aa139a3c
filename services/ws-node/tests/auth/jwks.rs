//! Keys that are fetched from a server that is down, slow or wrong, or that changes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use ws_node::{AuthSettings, EdgeSettings};

use crate::common::{PATIENCE, Received, Server, until};
use crate::door::{closed, code, counted, door, door_with, show};
use crate::signer::Signer;

/// The behaviour of the key server.
#[derive(Clone)]
enum Mood {
    Keys(String),
    Down,
    Garbage,
    Endless,
    Elsewhere,
    Slow,
    /// The keys, after a while.
    Late(String),
}

struct Keys {
    mood: watch::Sender<Mood>,
    asked: Arc<AtomicUsize>,
    url: String,
}

impl Keys {
    async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/keys", listener.local_addr().expect("bound"));
        let (mood, asked) = (watch::Sender::new(mood), Arc::new(AtomicUsize::new(0)));
        let (moods, count) = (mood.subscribe(), asked.clone());
        let app = Router::new().fallback(move || {
            count.fetch_add(1, Ordering::Relaxed);
            answer(moods.borrow().clone())
        });
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { mood, asked, url }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn door(&self, refresh: Duration) -> Server {
        door(AuthSettings {
            jwks_url: Some(self.url.parse().expect("a URL")),
            jwks_refresh: refresh,
            audiences: vec!["chat".to_owned()],
            ..AuthSettings::default()
        })
        .await
    }
}

async fn answer(mood: Mood) -> Response {
    match mood {
        Mood::Keys(keys) => keys.into_response(),
        Mood::Down => StatusCode::BAD_GATEWAY.into_response(),
        Mood::Garbage => "<html>sign in first</html>".into_response(),
        Mood::Endless => format!("{{\"keys\":[{}]}}", " ".repeat(1 << 20)).into_response(),
        Mood::Elsewhere => Redirect::temporary("http://127.0.0.1:1/keys").into_response(),
        Mood::Late(keys) => {
            tokio::time::sleep(Duration::from_millis(500)).await;
            keys.into_response()
        }
        Mood::Slow => std::future::pending().await,
    }
}

fn set(signers: &[&Signer]) -> Mood {
    Mood::Keys(written(signers))
}

fn written(signers: &[&Signer]) -> String {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

fn token(signer: &Signer) -> String {
    signer.token("888", json!({"aud": "chat"}))
}

const HOUR: Duration = Duration::from_secs(3600);

async fn is_ready(server: &Server) {
    let ready = server.node.readiness();
    until("the keys are there", || ready().is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_each_kind_are_fetched_and_used() {
    let signers = [
        Signer::rsa().named("r"),
        Signer::p256().named("p"),
        Signer::ed25519().named("e"),
    ];
    let keys = Keys::start(set(&signers.each_ref())).await;
    let server = keys.door(HOUR).await;
    is_ready(&server).await;
    for signer in &signers {
        assert!(show(&server, &token(signer)).await.is_ok(), "{:?}", signer.algorithm);
        let (_, text) = show(&server, &signer.token("888", json!({})))
            .await
            .err()
            .expect("not for us");
        assert!(text.contains("aud"), "{text}");
    }
    let mut unnamed = Signer::ed25519();
    assert_eq!(
        show(&server, &token(&unnamed)).await.err().map(|(status, _)| status),
        Some(401)
    );
    unnamed.kid = Some("e");
    assert_eq!(
        show(&server, &token(&unnamed)).await.err().map(|(status, _)| status),
        Some(401)
    );
    assert_eq!(keys.asked(), 1, "a wrong signature causes no fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_server_is_not_ready_until_they_can_be_fetched() {
    let signer = Signer::ed25519().named("a");
    for mood in [Mood::Down, Mood::Garbage, Mood::Endless, Mood::Elsewhere] {
        let keys = Keys::start(mood).await;
        let server = keys.door(HOUR).await;
        let (status, text) = show(&server, &token(&signer)).await.err().expect("no keys yet");
        assert_eq!(status, 503, "{text}");
        let why = server.node.readiness()().expect_err("not ready");
        assert!(why.contains("keys"), "{why}");
        keys.mood.send_replace(set(&[&signer]));
        is_ready(&server).await;
        assert!(show(&server, &token(&signer)).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_server_that_hangs_is_given_up_and_asked_again() {
    let signer = Signer::ed25519().named("a");
    let keys = Keys::start(Mood::Slow).await;
    let server = keys.door(HOUR).await;
    until("it is asked", || keys.asked() == 1).await;
    keys.mood.send_replace(set(&[&signer]));
    is_ready(&server).await;
    assert_eq!(keys.asked(), 2);
    assert!(show(&server, &token(&signer)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_fetched_when_a_token_names_it_and_bad_tokens_cause_no_storm() {
    let (old, new, never) = (
        Signer::ed25519().named("old"),
        Signer::p256().named("new"),
        Signer::rsa().named("never"),
    );
    let keys = Keys::start(set(&[&old])).await;
    let server = keys.door(HOUR).await;
    is_ready(&server).await;
    assert!(show(&server, &token(&old)).await.is_ok());
    keys.mood.send_replace(set(&[&new]));
    let several = futures_util::future::join_all((0..8).map(|_| async {
        let token = token(&new);
        show(&server, &token).await
    }))
    .await;
    assert!(
        several.iter().all(Result::is_ok),
        "all that come meanwhile wait for the one fetch"
    );
    assert_eq!(keys.asked(), 2);
    assert_eq!(
        show(&server, &token(&old)).await.err().map(|(status, _)| status),
        Some(401),
        "rotated out"
    );
    let unknown = token(&never);
    let started = Instant::now();
    for _ in 0..50 {
        let (status, text) = show(&server, &unknown).await.err().expect("unknown");
        assert!(status == 401 && text.contains("kid"), "{status} {text}");
    }
    assert!(
        started.elapsed() < PATIENCE / 2,
        "nobody waits for a fetch that may not be"
    );
    assert_eq!(keys.asked(), 2, "at most one in 30 s");
    assert_eq!(
        counted(&server.registry, "wsmesh_auth_failures_total", "unknown_key"),
        51
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tokens_the_newer_one_counts_although_the_older_one_takes_longer_to_verify() {
    let (old, new) = (Signer::ed25519().named("old"), Signer::ed25519().named("new"));
    let keys = Keys::start(set(&[&old])).await;
    let server = keys.door(HOUR).await;
    is_ready(&server).await;
    let mut client = show(&server, &token(&old)).await.expect("good");
    keys.mood.send_replace(Mood::Late(written(&[&old, &new])));
    let may = |signer: &Signer, event: &str| signer.token("888", json!({"aud": "chat", "events": [event]}));
    for (name, token) in [("older", may(&new, "matchRequest")), ("newer", may(&old, "gamePing"))] {
        let shown = json!({"event": "refreshToken", "payload": {"token": token}, "callbackId": name});
        client.send(shown.to_string()).await;
    }
    for name in ["newer", "older"] {
        let reply = client.frame().await;
        assert_eq!(
            (&reply["callbackId"], &reply["payload"]["ok"]),
            (&json!(name), &json!(true))
        );
    }
    assert_eq!(
        code(&client.request("gamePing", json!(1)).await),
        "UNAVAILABLE",
        "allowed"
    );
    assert_eq!(code(&client.request("matchRequest", json!(1)).await), "NOT_ALLOWED");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_wait_for_their_turn_to_leave_may_show_tokens_of_new_keys() {
    let (old, new) = (Signer::ed25519().named("old"), Signer::ed25519().named("new"));
    let keys = Keys::start(set(&[&old])).await;
    let auth = AuthSettings {
        jwks_url: Some(keys.url.parse().expect("a URL")),
        jwks_refresh: HOUR,
        audiences: vec!["chat".to_owned()],
        ..AuthSettings::default()
    };
    let settings = EdgeSettings {
        drain_rate: 5,
        ..closed()
    };
    let server = door_with(EdgeSettings { auth, ..settings }).await;
    is_ready(&server).await;
    let for_us = |signer: &Signer, id: usize| signer.token(&id.to_string(), json!({"aud": "chat"}));
    let mut clients = Vec::new();
    for id in 0..20 {
        clients.push(show(&server, &for_us(&old, id)).await.expect("good"));
    }
    let ready = server.node.readiness();
    let ending = tokio::spawn(server.shut_down_within(PATIENCE));
    until("it drains", || ready().is_err()).await;
    keys.mood.send_replace(set(&[&new]));
    let mut renewed = 0;
    for (id, client) in clients.iter_mut().enumerate() {
        let shown = json!({"event": "refreshToken", "payload": {"token": for_us(&new, id)}, "callbackId": "new"});
        client.send(shown.to_string()).await;
        if let Received::Frame(reply) = client.next().await {
            assert_eq!(reply["payload"]["ok"], json!(true), "{reply}");
            renewed += 1;
        }
    }
    assert!(renewed > 10, "{renewed} of 20");
    drop(clients);
    ending.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_beside_the_fetched_keys_works_at_once_and_does_not_hide_that_a_key_is_unknown() {
    let (file, old, new) = (
        Signer::ed25519(),
        Signer::ed25519().named("old"),
        Signer::ed25519().named("new"),
    );
    let keys = Keys::start(Mood::Down).await;
    let server = door(AuthSettings {
        jwt_key: Some(file.key_file()),
        jwks_url: Some(keys.url.parse().expect("a URL")),
        jwks_refresh: HOUR,
        issuers: vec!["us".to_owned()],
        ..AuthSettings::default()
    })
    .await;
    let token = |signer: &Signer| signer.token("888", json!({"iss": "us"}));
    assert!(show(&server, &token(&file)).await.is_ok());
    assert_eq!(
        show(&server, &token(&old)).await.err().map(|(status, _)| status),
        Some(503)
    );
    keys.mood.send_replace(set(&[&old]));
    is_ready(&server).await;
    keys.mood.send_replace(set(&[&new]));
    assert!(show(&server, &token(&new)).await.is_ok() && show(&server, &token(&file)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_keys_stay_while_fetches_fail_and_newer_ones_replace_them() {
    let (old, new) = (Signer::ed25519().named("same"), Signer::ed25519().named("same"));
    let keys = Keys::start(set(&[&old])).await;
    let server = keys.door(Duration::from_secs(1)).await;
    is_ready(&server).await;
    for mood in [Mood::Down, Mood::Garbage] {
        keys.mood.send_replace(mood);
        let asked = keys.asked();
        until("it is asked twice more", || keys.asked() >= asked + 2).await;
        assert!(show(&server, &token(&old)).await.is_ok());
        assert!(server.node.readiness()().is_ok());
    }
    keys.mood.send_replace(set(&[&new]));
    let asked = keys.asked();
    until("it is asked twice more", || keys.asked() >= asked + 2).await;
    assert!(show(&server, &token(&new)).await.is_ok());
    assert_eq!(
        show(&server, &token(&old)).await.err().map(|(status, _)| status),
        Some(401)
    );
}
