//! Tokens: fetched before each attempt, sent in three ways, renewed; and the trace context of frames.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::json;
use wsmesh_connector::{
    ConnectionError, Connector, EmitError, End, Lifecycle, Options, RefreshError, RequestError, TokenIn,
};

use crate::closing::closed;
use crate::support::{Server, connected, soon, start};

/// `t/1`, `t/2` and so on.
fn counted(options: Options) -> Options {
    let last = Arc::new(AtomicU32::new(0));
    options.token(move || {
        let number = last.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Ok::<_, RequestError>(format!("t/{number}")) }
    })
}

fn always(options: Options, token: Option<&'static str>) -> Options {
    options.token(move || async move { Ok::<_, RequestError>(token.map(str::to_owned)) })
}

#[tokio::test]
async fn the_token_is_fetched_before_every_attempt_and_travels_in_a_header_or_in_the_query() {
    let server = Server::start().await;
    let options = counted(server.options()).header("Authorization", "Basic x");
    let (_client, peer, _task) = connected(&server, options).await;
    assert_eq!(
        (peer.path.as_str(), peer.authorization.as_deref()),
        ("/chat", Some("Bearer t/1"))
    );
    drop(peer);
    assert_eq!(server.accept().await.authorization.as_deref(), Some("Bearer t/2"));

    // The client above still tries to connect there.
    let server = Server::start().await;
    let mut options = counted(server.options().param("id", "7"));
    options.token_in = TokenIn::Query;
    let (_client, peer, _task) = connected(&server, options).await;
    assert_eq!(
        (peer.path.as_str(), peer.authorization.as_deref()),
        ("/chat?id=7&token=t%2F1", None)
    );
    drop(peer);
    assert_eq!(server.accept().await.path, "/chat?id=7&token=t%2F2");
}

#[tokio::test]
async fn a_token_in_the_first_message_comes_before_everything_and_open_follows_when_the_server_agreed() {
    let server = Server::start().await;
    let mut options = always(server.options(), Some("abc"));
    options.token_in = TokenIn::Message;
    let (client, _task) = start(options);
    let mut says = client.on("say");
    let mut waits = client.request("echo", &1).retry().into_future();
    assert!((&mut waits).now_or_never().is_none());
    let mut peer = server.accept().await;
    assert_eq!((peer.path.as_str(), &peer.authorization), ("/chat", &None));
    let asked = peer.json().await;
    assert_eq!(
        (&asked["event"], &asked["payload"]),
        (&json!("authenticate"), &json!({"token": "abc"}))
    );
    peer.say(json!({"event": "say", "payload": "hello"})).await;
    peer.say(json!({"payload": {"error": "no", "errorCode": "NO"}, "callbackId": "another"}))
        .await;
    soon("pushes are heard before", says.recv()).await.expect("listening");
    assert!(matches!(client.try_emit("early", &1), Err(EmitError::NotOpen)));
    assert!(!client.is_open());
    peer.say(json!({"payload": {"ok": true}, "callbackId": asked["callbackId"]}))
        .await;
    soon("open", client.opened()).await.expect("open");
    let (reply, ()) = tokio::join!(waits, peer.reply(json!("hi")));
    assert_eq!(reply.expect("replied").as_str(), "\"hi\"");
}

#[tokio::test]
async fn after_a_refused_token_the_client_stays_closed_until_the_application_connects_again() {
    let server = Server::start().await;
    let mut options = always(server.options(), Some("old"));
    options.token_in = TokenIn::Message;
    let (client, _task) = start(options);
    let mut peer = server.accept().await;
    peer.reply(json!({"error": "the token is too old", "errorCode": "NOT_ALLOWED"}))
        .await;
    assert_eq!(peer.closed().await.0, 4001);
    let end = closed(&client).await;
    assert!(
        matches!(&end, End::Failed(ConnectionError::Unauthenticated { code, text })
            if code == "NOT_ALLOWED" && text == "the token is too old"),
        "{end}"
    );
    client.connect().await;
    server.accept().await.close(4011, "token not accepted").await;
    let end = closed(&client).await;
    assert!(matches!(&end, End::Failed(ConnectionError::Closed { .. })), "{end}");
    client.connect().await;
    let mut peer = server.accept().await;
    peer.reply(json!({"ok": true})).await;
    soon("open", client.opened()).await.expect("open");
}

#[tokio::test]
async fn an_expired_token_is_replaced_by_a_fresh_one() {
    let server = Server::start().await;
    let (_client, peer, _task) = connected(&server, counted(server.options())).await;
    peer.close(4011, "token expired").await;
    assert_eq!(server.accept().await.authorization.as_deref(), Some("Bearer t/2"));
}

#[tokio::test]
async fn a_provider_that_fails_or_never_answers_is_a_failed_attempt() {
    let server = Server::start().await;
    let tries = Arc::new(AtomicU32::new(0));
    let mut options = server.options().token({
        let tries = Arc::clone(&tries);
        move || {
            let nth = tries.fetch_add(1, Ordering::Relaxed);
            async move {
                match nth {
                    0 => Err("login is down"),
                    1 => Ok(Some("two\nlines".to_owned())),
                    2 => std::future::pending().await,
                    _ => Ok(None),
                }
            }
        }
    });
    options.connect_timeout = Duration::from_millis(300);
    let (client, task) = Connector::new(options).expect("options that work");
    let mut lifecycle = client.lifecycle();
    let _task = tokio::spawn(task.run());
    let mut ends = Vec::new();
    let mut repeats = Vec::new();
    while repeats.len() < 3 {
        match soon("three attempts", lifecycle.recv()).await.expect("it runs") {
            Lifecycle::Ended(error) => ends.push(error.to_string()),
            Lifecycle::Reconnecting { repeat, .. } => repeats.push(repeat),
            _ => {}
        }
    }
    assert_eq!(ends[0], "there is no token to connect with: login is down");
    assert!(ends[1].contains("a line break"), "{ends:?}");
    assert!(!ends[1].contains("two"), "tokens are secret");
    assert_eq!(
        (ends[2].as_str(), repeats),
        ("no connection within 300 ms", vec![1, 2, 3])
    );
    assert_eq!(server.accept().await.authorization, None, "without a token");
}

#[tokio::test]
async fn closing_does_not_wait_for_a_provider() {
    let server = Server::start().await;
    let options = server
        .options()
        .token(std::future::pending::<Result<String, RequestError>>);
    let (client, _task) = start(options);
    soon("closed", client.close()).await;
    assert!(matches!(closed(&client).await, End::ByHand));
}

#[tokio::test]
async fn a_token_is_renewed_on_the_open_connection_and_a_failure_has_its_reason() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, counted(server.options())).await;
    let (renewed, asked) = tokio::join!(client.refresh_token(), async {
        let asked = peer.json().await;
        peer.say(json!({"payload": {"ok": true}, "callbackId": asked["callbackId"]}))
            .await;
        asked
    });
    assert_eq!(renewed.expect("renewed").as_str(), r#"{"ok":true}"#);
    assert_eq!(
        (&asked["event"], &asked["payload"]),
        (&json!("refreshToken"), &json!({"token": "t/2"}))
    );
    let refusal = json!({"error": "for another", "errorCode": "NOT_ALLOWED"});
    let (refused, ()) = tokio::join!(client.refresh_token(), peer.reply(refusal));
    assert!(
        matches!(&refused, Err(RefreshError::Request(error)) if error.code() == "NOT_ALLOWED"),
        "{refused:?}"
    );
    let (without, _peer, _task) = connected(&server, server.options()).await;
    assert!(matches!(without.refresh_token().await, Err(RefreshError::NoToken)));
    let (none, _peer, _task) = connected(&server, always(server.options(), None)).await;
    assert!(matches!(none.refresh_token().await, Err(RefreshError::NoToken)));
}

#[tokio::test]
async fn frames_carry_the_trace_context_of_the_application() {
    let server = Server::start().await;
    let current = Arc::new(Mutex::new(None));
    let options = server.options().traceparent({
        let current = Arc::clone(&current);
        move || current.lock().clone()
    });
    let set = |traceparent: Option<&str>| *current.lock() = traceparent.map(str::to_owned);
    let (client, mut peer, _task) = connected(&server, options).await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    set(Some(traceparent));
    client.emit("say", &1).await.expect("open");
    client.try_emit("say", &2).expect("open");
    let joining = async {
        let asked = peer.json().await;
        assert_eq!(asked, json!({"event": "say", "payload": 1, "traceparent": traceparent}));
        assert_eq!(peer.json().await["traceparent"], traceparent);
        let asked = peer.json().await;
        assert_eq!(asked["traceparent"], traceparent);
        peer.say(json!({"payload": 1, "callbackId": asked["callbackId"]})).await;
    };
    let (joined, ()) = tokio::join!(client.join_room("1000"), joining);
    joined.expect("joined");
    drop(peer);
    let mut peer = server.accept().await;
    assert_eq!(peer.json().await["traceparent"], traceparent, "of the room");
    soon("open", client.opened()).await.expect("open");
    set(None);
    client.emit("say", &3).await.expect("open");
    assert_eq!(peer.read().await, r#"{"event":"say","payload":3}"#);
}
