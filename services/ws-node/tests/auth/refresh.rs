//! The end of a token, and new tokens that extend a stay.

use std::time::{Duration, Instant};

use serde_json::json;
use ws_node::AuthSettings;

use crate::common::{Received, Server, until};
use crate::door::{code, counted, door, show};
use crate::signer::{Signer, now};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn server() -> (Server, Signer) {
    let signer = Signer::secret(SECRET);
    let settings = AuthSettings {
        jwt_key: Some(signer.key_file()),
        leeway: Duration::ZERO,
        ..AuthSettings::default()
    };
    (door(settings).await, signer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_with_its_token() {
    let (server, signer) = server().await;
    let started = Instant::now();
    let mut client = show(&server, &signer.token("888", json!({"exp": now() + 2})))
        .await
        .expect("good");
    assert_eq!(
        client.next().await,
        Received::Closed(Some((4011, "token expired".into())))
    );
    let lasted = started.elapsed();
    assert!(
        (Duration::from_millis(900)..Duration::from_millis(3_600)).contains(&lasted),
        "{lasted:?}"
    );
    let closed = || counted(&server.registry, "wsmesh_connections_closed_total", "4011");
    until("the end is counted", || closed() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_extends_the_stay_and_replaces_the_permissions() {
    let (server, signer) = server().await;
    let first = signer.token("888", json!({"exp": now() + 2, "events": []}));
    let mut client = show(&server, &first).await.expect("good");
    assert_eq!(code(&client.request("gamePing", json!(1)).await), "NOT_ALLOWED");
    let renewed = client
        .request("refreshToken", json!({"token": signer.token("888", json!({}))}))
        .await;
    assert_eq!((&renewed["ok"], &renewed["client"]), (&json!(true), &json!("888")));
    let left = renewed["expiresInMs"].as_u64().expect("milliseconds");
    assert!((3_590_000..=3_600_000).contains(&left), "{left}");
    assert_eq!(
        code(&client.request("gamePing", json!(1)).await),
        "UNAVAILABLE",
        "allowed now, though nobody is there"
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(
        client.request("enterForeground", json!(null)).await,
        json!({"ok": true}),
        "still here"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_or_for_another_client_changes_nothing() {
    let (server, signer) = server().await;
    let first = signer.token("888", json!({"exp": now() + 4, "events": ["gamePing"]}));
    let mut client = show(&server, &first).await.expect("good");
    let for_another = signer.token("999", json!({}));
    let foreign = Signer::secret("another key, also of 32 or more bytes").token("888", json!({}));
    for (token, text) in [
        (for_another, "this token is for another client id: reconnect with it"),
        (
            foreign,
            "the token is not valid here: it must be a JWT signed with a key of this cluster, with `exp`",
        ),
        (
            signer.token("888", json!({"exp": now() - 60})),
            "the token has expired: get a new one",
        ),
    ] {
        let reply = client.request("refreshToken", json!({"token": token})).await;
        assert_eq!((code(&reply), reply["error"].as_str()), ("NOT_ALLOWED", Some(text)));
    }
    let bare = client.request("refreshToken", json!(first)).await;
    assert_eq!(code(&bare), "BAD_PAYLOAD");
    assert!(!bare.to_string().contains(&first), "{bare}");
    assert_eq!(
        code(&client.request("matchRequest", json!(1)).await),
        "NOT_ALLOWED",
        "as before"
    );
    assert_eq!(
        counted(&server.registry, "wsmesh_auth_failures_total", "other_client"),
        1
    );
    assert_eq!(client.close_code().await, Some(4011), "when the first token ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_of_new_tokens_of_a_client_is_limited() {
    let (server, signer) = server().await;
    let mut client = show(&server, &signer.token("888", json!({}))).await.expect("good");
    let token = signer.token("888", json!({}));
    let mut codes = Vec::new();
    for _ in 0..30 {
        let reply = client.request("refreshToken", json!({"token": token})).await;
        codes.push(code(&reply).to_owned());
    }
    let refused = codes.iter().filter(|code| *code == "RATE_LIMITED").count();
    assert!((10..=20).contains(&refused), "{codes:?}");
    let limited = counted(&server.registry, "wsmesh_client_limits_reached_total", "refreshes");
    assert_eq!(limited, refused as u64);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let reply = client.request("refreshToken", json!({"token": token})).await;
    assert_eq!(reply["ok"], json!(true), "after a while it may again");
}
